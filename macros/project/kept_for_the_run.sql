{# dbt compiles and runs a model in two contexts, and has no other place that both see: `graph` is one dictionary for all
   models of a process. Were it a copy one day, what is kept would be asked for again. #}
{% macro kept_for_the_run(what) %}
    {% set key = 'retail_warehouse ' ~ invocation_id %}
    {% if key not in graph %}
        {# Those of earlier runs of the process, as `retail-warehouse process` has many. #}
        {% for old in graph | list if old.startswith('retail_warehouse ') and old != key %}
            {% do graph.pop(old, none) %}
        {% endfor %}
    {% endif %}
    {{ return(graph.setdefault(key, {}).setdefault(what, {})) }}
{% endmacro %}

{% macro file_list_of(source_name) %}
    {% set known = kept_for_the_run('file_lists') %}
    {% if not known %}
        {% for table in graph.sources.values() if table.meta.lists_files %}
            {% do known.update({table.source_name: table}) %}
        {% endfor %}
    {% endif %}
    {{ return(known[source_name]) }}
{% endmacro %}

{% macro staging_model_of(table) %}
    {% set known = kept_for_the_run('staging_models') %}
    {% if not known %}
        {% for id in graph.nodes if id.startswith('model.') %}
            {% set node = graph.nodes[id] %}
            {% for parent in node.depends_on.nodes if parent.startswith('source.') %}
                {% do known.update({parent: node.name}) %}
            {% endfor %}
        {% endfor %}
    {% endif %}
    {{ return(known[table.unique_id]) }}
{% endmacro %}

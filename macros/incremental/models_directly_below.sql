{% macro models_directly_below(unique_id) %}
    {% set found = [] %}
    {% for id in graph.nodes if id.startswith('model.') %}
        {% set lineage = lineage_of(id) %}
        {% if lineage.key and unique_id in lineage.directly_above | map(attribute='node.unique_id') %}
            {% do found.append(lineage) %}
        {% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{% macro built_sources(models) %}
    {# Unit tests have rows of all; what is only compiled is for any warehouse. #}
    {% if not execute or flags.WHICH not in ['build', 'run', 'test'] or model.resource_type == 'unit_test' %}
        {{ return(models.keys() | list) }}
    {% endif %}
    {% set built = [] %}
    {% for source_name, names in models.items() %}
        {% for name in names if source_name not in built %}
            {% set node = graph.nodes['model.retail_warehouse.' ~ name] %}
            {% if load_cached_relation(
                api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)
            ) is not none %}
                {% do built.append(source_name) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(built or models.keys() | list) }}
{% endmacro %}

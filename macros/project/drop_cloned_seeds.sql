{% macro drop_cloned_seeds() %}
    {% if execute and flags.WHICH in ['build', 'seed'] %}
        {% for seed in graph.nodes.values() | selectattr('resource_type', 'equalto', 'seed') %}
            {% set relation = load_cached_relation(
                api.Relation.create(database=seed.database, schema=seed.schema, identifier=seed.alias)
            ) %}
            {% if relation is not none and relation.is_view %}
                {% do adapter.drop_relation(relation) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}

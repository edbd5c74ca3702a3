{% macro unload_features(location, iam_role=none, dry_run=false) %}
    {% if execute %}
        {% set relations = [] %}
        {% for node in graph.nodes.values() | sort(attribute='name')
            if node.resource_type == 'model' and (node.fqn[1] == 'features' or node.name in ['aisles', 'products']) %}
            {% do relations.append(
                api.Relation.create(schema=node.schema, identifier=node.alias).include(database=false)
            ) %}
        {% endfor %}
        {% set statements = adapter.dispatch('unload_features', 'retail_warehouse')(
            relations, (location | string).rstrip('/'), iam_role_literal(iam_role)
        ) %}
        {% do run_statements(statements, dry_run) %}
    {% endif %}
{% endmacro %}

{% macro default__unload_features(relations, location, iam_role) %}
    {% do exceptions.raise_compiler_error(
        'unload_features unloads from Amazon Redshift: add --target prod. On ' ~ target.type
        ~ ' training reads the features in the warehouse file.'
    ) %}
{% endmacro %}

{% macro redshift__unload_features(relations, location, iam_role) %}
    {% set statements = [] %}
    {% for relation in relations %}
        {% do statements.append(
            unload_statement('select * from ' ~ relation, location ~ '/' ~ relation.identifier, iam_role)
        ) %}
    {% endfor %}
    {{ return(statements) }}
{% endmacro %}

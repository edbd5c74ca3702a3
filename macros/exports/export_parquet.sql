{% macro export_parquet(models=none, to=none) %}
    {% if execute %}
        {% set known = {} %}
        {% set chosen = [] %}
        {% for node in graph.nodes.values() | sort(attribute='name')
            if node.resource_type == 'model' and node.config.materialized != 'ephemeral' %}
            {% do known.update({node.name: node}) %}
            {% if node.config.meta.get('export_by_month') %}
                {% do chosen.append(node.name) %}
            {% endif %}
        {% endfor %}
        {% set wanted = chosen if models is none else ([models] if models is string else models) %}
        {% for name in wanted if name not in known %}
            {% do exceptions.raise_compiler_error(
                'export_parquet: there is no model ' ~ name ~ '. Name models as in dbt ls, such as '
                ~ "--args '{models: [fct_sales, rpt_monthly_sales]}'."
            ) %}
        {% endfor %}
        {% for name in wanted %}
            {% set node = known[name] %}
            {% set relation = load_relation(
                api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)
            ) %}
            {% if relation is none %}
                {% do exceptions.raise_compiler_error(
                    'export_parquet: ' ~ node.schema ~ '.' ~ node.alias ~ ' is not built yet: dbt build --select +' ~ name
                ) %}
            {% endif %}
            {% set folder = parquet_folder(name, to) %}
            {% set rows = adapter.dispatch('write_parquet', 'retail_warehouse')(
                relation, folder, node.config.meta.get('export_by_month')
            ) %}
            {% do log(name ~ ': ' ~ '{:,}'.format(rows) ~ ' rows in ' ~ folder, info=true) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

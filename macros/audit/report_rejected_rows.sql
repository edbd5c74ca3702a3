{% macro report_rejected_rows(results) %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% set queries = [] %}
        {% for result in results
            if result.status == 'success' and result.node.config.meta.lists_rejected_rows %}
            {% set relation = api.Relation.create(
                database=result.node.database, schema=result.node.schema, identifier=result.node.alias
            ) %}
            {% do queries.append(
                "select '" ~ result.node.schema ~ '.' ~ result.node.alias ~ "' as relation, table_name, reason,"
                ~ ' count(*) as row_count, min(detail) as example from ' ~ relation ~ ' group by table_name, reason'
            ) %}
        {% endfor %}
        {% if queries %}
            {% for row in run_query(queries | join(' union all ') ~ ' order by 1, 2, 3') %}
                {% do log(
                    'Rejected rows of ' ~ row['table_name'] ~ ': ' ~ row['row_count'] ~ ' ' ~ row['reason']
                    ~ ' (e.g. ' ~ row['example'] ~ '), listed in ' ~ row['relation'],
                    info=true
                ) %}
            {% endfor %}
        {% endif %}
    {% endif %}
{% endmacro %}

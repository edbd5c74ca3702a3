{% macro report_rejected_rows_of(node) %}
    {% set relation = api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) %}
    {% set hint = node.config.meta.hint %}
    {% set query %}
        select
            table_name,
            reason,
            count(*) as row_count,
            min(detail) as example,
            {{ 'sum(case when ' ~ hint.column ~ ' then 1 else 0 end)' if hint else '0' }} as hinted_rows
        from {{ relation }}
        group by table_name, reason
        order by table_name, reason
    {% endset %}
    {% for row in run_query(query) %}
        {% do log(
            'Rejected rows of ' ~ row['table_name'] ~ ': ' ~ row['row_count'] ~ ' ' ~ row['reason']
            ~ ' (e.g. ' ~ row['example'] ~ '), listed in ' ~ node.schema ~ '.' ~ node.alias,
            info=true
        ) %}
        {% if row['hinted_rows'] > var('max_rejected_rows') %}
            {% do log('  ' ~ row['hinted_rows'] ~ ' of them ' ~ hint.message, info=true) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

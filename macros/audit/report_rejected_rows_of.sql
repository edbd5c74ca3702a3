{% macro report_rejected_rows_of(node) %}
    {% set relation = relation_of(node) %}
    {% set hint = node.config.meta.hint %}
    {% set query %}
        select
            table_name,
            reason,
            count(*) as row_count,
            min(detail) as example
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
    {% endfor %}
    {% if hint %}
        {% set hinted %}
            select
                file_name,
                count(*) as row_count
            from {{ relation }}
            where {{ hint.column }}
            group by file_name
            having count(*) > {{ var('max_rejected_rows') }}
            order by file_name
        {% endset %}
        {% for row in run_query(hinted) %}
            {% do log('  ' ~ row['row_count'] ~ ' rejected rows of ' ~ row['file_name'] ~ ' ' ~ hint.message, info=true) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

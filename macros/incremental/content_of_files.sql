{# The order of the rows does not matter to a sum, and line ends, quotes and packing are no part of a row. #}
{% macro content_of_files(lineage, files) %}
    {% set columns = [] %}
    {% for column in lineage.raw_table.meta.header %}
        {% do columns.append(column if column is string else column.column) %}
    {% endfor %}
    {% do columns.append('rejection_detail') %}
    {% do columns.append("case when rejection_reason in ('wrong_field_count', 'broken_quote') then raw_record end") %}
    select
        {{ lineage.key }} as file_name,
        cast(count(*) as varchar(20)) || ' rows, ' || cast(sum({{ row_hash(columns) }}) as varchar(40)) as content
    from {{ lineage.node.relation_name }}
    where {{ lineage.key }} in (select file_name from ({{ files }}) as files)
    group by {{ lineage.key }}
{% endmacro %}

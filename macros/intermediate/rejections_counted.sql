{% macro rejections_counted(raw_tables, rejected) %}
with raw_counts as (

    {% for table_name, staged in raw_tables.items() %}
    select
        cast('{{ table_name }}' as varchar(100)) as table_name,
        count(*) as raw_rows
    from {{ ref(staged) }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

rejections as (

    {% for model in rejected %}
    select
        table_name,
        reason,
        count(*) as rejected_rows
    from {{ ref(model) }}
    group by table_name, reason
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

)

select
    rejections.table_name,
    rejections.reason,
    rejections.rejected_rows,
    raw_counts.raw_rows
from rejections
inner join raw_counts
    on rejections.table_name = raw_counts.table_name
{% endmacro %}

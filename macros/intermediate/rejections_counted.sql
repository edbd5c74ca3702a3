{% macro rejections_counted(raw_tables) %}
with raw_counts as (

    {% for staged in raw_tables %}
    select
        table_name,
        count(*) as raw_rows
    from {{ ref(staged) }}
    group by table_name
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

rejections as (

    {% for rejected in raw_tables.values() %}
    select
        table_name,
        reason,
        count(*) as rejected_rows
    from {{ ref(rejected) }}
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

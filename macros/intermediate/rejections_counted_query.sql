{% macro rejections_counted_query(raw_tables, rejected) %}
with rejections as (

    {% for model in rejected %}
    select
        table_name,
        file_name,
        reason,
        coalesce(is_of_left_out_file, false) as is_of_left_out_file,
        count(*) as rejected_rows
    from {{ ref(model) }}
    group by table_name, file_name, reason, coalesce(is_of_left_out_file, false)
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

raw_counts as (

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

-- Only files with a rejected row, so that clean files are not read.
file_counts as (

    {% for table_name, staged in raw_tables.items() %}
    {% set file = 'landing_file' if table_name == 'streamed_lines' else 'file_name' %}
    select
        cast('{{ table_name }}' as varchar(100)) as table_name,
        {{ file }} as file_name,
        count(*) as file_rows
    from {{ ref(staged) }}
    where
        {{ file }} in (
            select rejections.file_name from rejections
            where rejections.table_name = '{{ table_name }}'
        )
    group by {{ file }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

)

select
    rejections.table_name,
    rejections.file_name,
    rejections.reason,
    rejections.is_of_left_out_file,
    rejections.rejected_rows,
    file_counts.file_rows,
    raw_counts.raw_rows
from rejections
inner join raw_counts
    on rejections.table_name = raw_counts.table_name
left join file_counts
    on
        rejections.table_name = file_counts.table_name
        and rejections.file_name = file_counts.file_name
{% endmacro %}

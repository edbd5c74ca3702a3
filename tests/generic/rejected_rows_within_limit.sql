{% test rejected_rows_within_limit(model) %}
{% set of_file = var('max_rejected_rows_of_file') %}
{% set rows_of_file = of_file if of_file is not none else var('max_rejected_rows') %}

with rejections as (

    select
        *,
        case when reason in ('duplicate_key', 'missing_parent') then 0 else rejected_rows end as rows_of_own_fault
    from {{ model }}

),

-- Files that are left out as a whole do not count, unless there are no others.
tables as (

    select
        table_name,
        cast(null as varchar(1000)) as file_name,
        sum(case when is_of_left_out_file then 0 else rejected_rows end) as rejected_rows,
        raw_rows - sum(case when is_of_left_out_file then rejected_rows else 0 end) as raw_rows
    from rejections
    group by table_name, raw_rows
    having
        raw_rows = sum(case when is_of_left_out_file then rejected_rows else 0 end)
        or (
            sum(case when is_of_left_out_file then 0 else rejected_rows end) > {{ var('max_rejected_rows') }}
            and sum(case when is_of_left_out_file then 0 else rejected_rows end) > {{ var('max_rejected_share') }}
            * (raw_rows - sum(case when is_of_left_out_file then rejected_rows else 0 end))
        )

),

-- Each file by itself: rows that are wrong regardless of other rows. A file without any acceptable row fails, however
-- small it is.
files as (

    select
        table_name,
        file_name,
        sum(rows_of_own_fault) as rejected_rows,
        file_rows as raw_rows
    from rejections
    where not is_of_left_out_file
    group by table_name, file_name, file_rows
    having
        sum(rows_of_own_fault) > {{ var('max_rejected_share_of_file') }} * coalesce(file_rows, 0)
        and (
            sum(rows_of_own_fault) > {{ rows_of_file }}
            or sum(rows_of_own_fault) = coalesce(file_rows, 0)
        )

)

select * from tables
union all
select * from files

{% endtest %}

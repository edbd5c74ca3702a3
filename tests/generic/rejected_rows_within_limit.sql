{% test rejected_rows_within_limit(model, rows, rejected) %}

{# The gate: placed on the model of accepted rows that the marts read, so that a failure keeps their last good rows. #}
-- depends_on: {{ model }}

with raw_tables as (

    select
        table_name,
        count(*) as raw_rows
    from {{ rows }}
    group by table_name

),

rejected as (

    select
        table_name,
        reason,
        count(*) as rejected_rows
    from {{ rejected }}
    group by table_name, reason

),

tables_over_limit as (

    select rejected.table_name
    from rejected
    inner join raw_tables
        on rejected.table_name = raw_tables.table_name
    group by rejected.table_name, raw_tables.raw_rows
    having
        sum(rejected.rejected_rows) > {{ var('max_rejected_rows') }}
        and sum(rejected.rejected_rows) > {{ var('max_rejected_share') }} * raw_tables.raw_rows

)

select
    rejected.table_name,
    rejected.reason,
    rejected.rejected_rows
from rejected
inner join tables_over_limit
    on rejected.table_name = tables_over_limit.table_name

{% endtest %}

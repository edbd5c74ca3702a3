-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_online_retail_rejections_counted') }}
{% set first_day = dbt.date_trunc('year', 'invoice_lines.first_invoiced_at') %}

with invoice_lines as (

    select
        min(invoiced_at) as first_invoiced_at,
        max(invoiced_at) as last_invoiced_at
    from {{ ref('int_invoice_lines_classified') }}

),

digits as (

    {% for digit in range(10) %}
    select {{ digit }} as digit
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

-- Twenty thousand days: accepted invoices are of fifty years at most.
numbers as (

    select
        ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit
        + 10000 * ten_thousands.digit as number_of_days
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
    cross join digits as ten_thousands
    where ten_thousands.digit < 2

),

days as (

    select
        cast({{ dbt.dateadd('day', 'numbers.number_of_days', first_day) }} as date) as date_day,
        cast(invoice_lines.last_invoiced_at as date) as last_invoice_date
    from numbers
    cross join invoice_lines

)

select
    date_day,
    cast(extract(year from date_day) as smallint) as year_number,
    cast(extract(quarter from date_day) as smallint) as quarter_number,
    cast(extract(month from date_day) as smallint) as month_number,
    cast(extract(day from date_day) as smallint) as day_of_month,
    -- Monday is 1, Sunday 7, as in ISO 8601.
    cast(
        case when extract(dow from date_day) = 0 then 7 else extract(dow from date_day) end as smallint
    ) as iso_day_of_week,
    cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month_start_date,
    extract(dow from date_day) in (0, 6) as is_weekend
from days
where extract(year from date_day) <= extract(year from last_invoice_date)

with sales as (

    select
        invoice_date,
        country,
        sum(line_amount) as gross_amount,
        count(distinct invoice_no) as invoice_count,
        count(distinct case when customer_id <> 'Unknown' then customer_id end) as customer_count,
        sum(quantity) as unit_count
    from {{ ref('fct_sales') }}
    group by invoice_date, country

),

cancellations as (

    select
        invoice_date,
        country,
        sum(line_amount) as cancellation_amount
    from {{ ref('fct_cancellations') }}
    group by invoice_date, country

),

days as (

    select
        invoice_date,
        country
    from sales
    union
    select
        invoice_date,
        country
    from cancellations

)

select
    days.invoice_date,
    days.country,
    cast(coalesce(sales.gross_amount, 0) as numeric(38, 3)) as gross_amount,
    cast(coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)) as cancellation_amount,
    cast(
        coalesce(sales.gross_amount, 0) + coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)
    ) as net_amount,
    cast(coalesce(sales.invoice_count, 0) as integer) as invoice_count,
    cast(coalesce(sales.customer_count, 0) as integer) as customer_count,
    cast(coalesce(sales.unit_count, 0) as bigint) as unit_count
from days
left join sales
    on
        days.invoice_date = sales.invoice_date
        and days.country = sales.country
left join cancellations
    on
        days.invoice_date = cancellations.invoice_date
        and days.country = cancellations.country

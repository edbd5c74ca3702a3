with months as (

    {{ months_of_data() }}

),

dated_sales as (

    select
        *,
        cast({{ dbt.date_trunc('month', 'invoice_date') }} as date) as sales_month
    from {{ ref('fct_sales') }}

),

dated_cancellations as (

    select
        *,
        cast({{ dbt.date_trunc('month', 'invoice_date') }} as date) as sales_month
    from {{ ref('fct_cancellations') }}

),

first_sales as (

    select
        customer_id,
        min(sales_month) as first_sales_month
    from dated_sales
    where customer_id <> 'Unknown'
    group by customer_id

),

sales as (

    select
        sales_month,
        sum(line_amount) as gross_amount,
        sum(quantity) as units,
        count(*) as line_count,
        count(distinct invoice_no) as invoice_count,
        count(distinct case when customer_id <> 'Unknown' then customer_id end) as customer_count
    from dated_sales
    group by sales_month

),

new_customers as (

    select
        first_sales_month,
        count(*) as new_customer_count
    from first_sales
    group by first_sales_month

),

cancellations as (

    select
        sales_month,
        sum(line_amount) as cancellation_amount
    from dated_cancellations
    group by sales_month

)

select
    months.sales_month,
    cast(coalesce(sales.gross_amount, 0) as numeric(38, 3)) as gross_amount,
    cast(coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)) as cancellation_amount,
    cast(
        coalesce(sales.gross_amount, 0) + coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)
    ) as net_amount,
    {{ money_share(
        '(case when cancellations.cancellation_amount < 0 then -cancellations.cancellation_amount else 0 end)',
        'sales.gross_amount', 38, 6
    ) }} as cancellation_rate,
    cast(coalesce(sales.units, 0) as bigint) as units,
    cast(coalesce(sales.line_count, 0) as integer) as line_count,
    cast(coalesce(sales.invoice_count, 0) as integer) as invoice_count,
    {{ ratio(
        'sales.gross_amount * 1000', 'sales.invoice_count * 1000', 38, 3, is_large=true
    ) }} as average_invoice_value,
    {{ ratio('sales.line_count', 'sales.invoice_count', 18, 4) }} as lines_per_invoice,
    cast(coalesce(sales.customer_count, 0) as integer) as customer_count,
    cast(coalesce(new_customers.new_customer_count, 0) as integer) as new_customer_count,
    cast(
        coalesce(sales.customer_count, 0) - coalesce(new_customers.new_customer_count, 0) as integer
    ) as returning_customer_count,
    months.is_complete_month
from months
left join sales
    on months.sales_month = sales.sales_month
left join cancellations
    on months.sales_month = cancellations.sales_month
left join new_customers
    on months.sales_month = new_customers.first_sales_month

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
        dated_sales.sales_month,
        dated_sales.country,
        sum(dated_sales.line_amount) as gross_amount,
        sum(dated_sales.quantity) as units,
        count(distinct dated_sales.invoice_no) as invoice_count,
        count(distinct first_sales.customer_id) as customer_count,
        count(
            distinct case
                when first_sales.first_sales_month = dated_sales.sales_month then first_sales.customer_id
            end
        ) as new_customer_count
    from dated_sales
    left join first_sales
        on dated_sales.customer_id = first_sales.customer_id
    group by dated_sales.sales_month, dated_sales.country

),

cancellations as (

    select
        sales_month,
        country,
        sum(line_amount) as cancellation_amount
    from dated_cancellations
    group by sales_month, country

),

places as (

    select
        sales_month,
        country
    from sales
    union
    select
        sales_month,
        country
    from cancellations

)

select
    places.sales_month,
    places.country,
    cast(coalesce(sales.gross_amount, 0) as numeric(38, 3)) as gross_amount,
    cast(coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)) as cancellation_amount,
    cast(
        coalesce(sales.gross_amount, 0) + coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)
    ) as net_amount,
    cast(coalesce(sales.units, 0) as bigint) as units,
    cast(coalesce(sales.invoice_count, 0) as integer) as invoice_count,
    cast(coalesce(sales.customer_count, 0) as integer) as customer_count,
    cast(coalesce(sales.new_customer_count, 0) as integer) as new_customer_count,
    cast(coalesce(sales.customer_count - sales.new_customer_count, 0) as integer) as returning_customer_count,
    months.is_complete_month
from places
inner join months
    on places.sales_month = months.sales_month
left join sales
    on
        places.sales_month = sales.sales_month
        and places.country = sales.country
left join cancellations
    on
        places.sales_month = cancellations.sales_month
        and places.country = cancellations.country

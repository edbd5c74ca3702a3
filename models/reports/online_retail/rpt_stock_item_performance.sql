with stock_items as (

    select * from {{ ref('stock_items') }}

),

sales as (

    select
        stock_code,
        sum(line_amount) as sales_amount,
        sum(quantity) as units_sold,
        count(distinct invoice_no) as invoice_count,
        count(distinct case when customer_id <> 'Unknown' then customer_id end) as customer_count,
        min(invoice_date) as first_sale_date,
        max(invoice_date) as last_sale_date
    from {{ ref('fct_sales') }}
    group by stock_code

),

cancellations as (

    select
        stock_code,
        sum(line_amount) as cancellation_amount,
        -sum(quantity) as units_cancelled
    from {{ ref('fct_cancellations') }}
    group by stock_code

),

-- Only products are ranked; postage and fees cannot be best sellers.
ranked as (

    select
        sales.stock_code,
        row_number() over (order by sales.sales_amount desc, sales.stock_code asc) as sales_rank,
        sum(sales.sales_amount) over (
            order by sales.sales_amount desc, sales.stock_code asc rows between unbounded preceding and current row
        ) as cumulative_amount,
        sum(sales.sales_amount) over () as products_amount
    from sales
    inner join stock_items
        on sales.stock_code = stock_items.stock_code
    where stock_items.is_product

)

select
    stock_items.stock_code,
    stock_items.description,
    stock_items.is_product,
    cast(coalesce(sales.sales_amount, 0) as numeric(38, 3)) as sales_amount,
    cast(coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)) as cancellation_amount,
    cast(
        coalesce(sales.sales_amount, 0) + coalesce(cancellations.cancellation_amount, 0) as numeric(38, 3)
    ) as net_amount,
    {{ money_share(
        '(case when cancellations.cancellation_amount < 0 then -cancellations.cancellation_amount else 0 end)',
        'sales.sales_amount', 38, 6
    ) }} as cancelled_share,
    cast(coalesce(sales.units_sold, 0) as bigint) as units_sold,
    cast(coalesce(cancellations.units_cancelled, 0) as bigint) as units_cancelled,
    cast(coalesce(sales.invoice_count, 0) as integer) as invoice_count,
    cast(coalesce(sales.customer_count, 0) as integer) as customer_count,
    sales.first_sale_date,
    sales.last_sale_date,
    cast(ranked.sales_rank as integer) as sales_rank,
    {{ money_share('ranked.cumulative_amount', 'ranked.products_amount') }} as cumulative_sales_share
from stock_items
left join sales
    on stock_items.stock_code = sales.stock_code
left join cancellations
    on stock_items.stock_code = cancellations.stock_code
left join ranked
    on stock_items.stock_code = ranked.stock_code
where
    sales.stock_code is not null
    or cancellations.stock_code is not null

with orders as (

    select * from {{ ref('fct_orders') }}

),

order_total as (

    select count(basket_size) as orders_with_lines from orders

),

measured as (

    select
        days_since_prior_order,
        count(*) as order_count,
        count(basket_size) as orders_with_lines,
        sum(basket_size) as item_count,
        sum(reordered_items) as reordered_items
    from orders
    where days_since_prior_order is not null
    group by days_since_prior_order

)

select
    measured.days_since_prior_order,
    measured.days_since_prior_order = 30 as is_30_or_more,
    cast(measured.order_count as integer) as order_count,
    cast(measured.orders_with_lines as integer) as orders_with_lines,
    {{ ratio('measured.orders_with_lines', 'order_total.orders_with_lines') }} as order_share,
    {{ ratio('measured.item_count', 'measured.orders_with_lines', 18, 4) }} as mean_basket_size,
    {{ ratio('measured.reordered_items', 'measured.item_count') }} as reorder_share
from measured
cross join order_total

with orders as (

    select * from {{ ref('fct_orders') }}

),

order_total as (

    select count(basket_size) as orders_with_lines from orders

),

measured as (

    select
        order_dow,
        order_hour_of_day,
        count(*) as order_count,
        count(basket_size) as orders_with_lines,
        sum(basket_size) as item_count,
        sum(reordered_items) as reordered_items
    from orders
    group by order_dow, order_hour_of_day

)

select
    measured.order_dow,
    measured.order_hour_of_day,
    cast(measured.order_count as integer) as order_count,
    cast(measured.orders_with_lines as integer) as orders_with_lines,
    {{ ratio('measured.orders_with_lines', 'order_total.orders_with_lines') }} as order_share,
    cast(coalesce(measured.item_count, 0) as bigint) as item_count,
    cast(coalesce(measured.reordered_items, 0) as bigint) as reordered_items,
    {{ ratio('measured.item_count', 'measured.orders_with_lines', 18, 4) }} as mean_basket_size,
    {{ ratio('measured.reordered_items', 'measured.item_count') }} as reorder_share
from measured
cross join order_total

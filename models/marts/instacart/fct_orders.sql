with orders as (

    {{ touched_rows(ref('orders')) }}

),

order_products as (

    {{ touched_rows(ref('order_products')) }}

),

baskets as (

    select
        order_id,
        count(*) as basket_size,
        sum(reordered) as reordered_items
    from order_products
    group by order_id

)

select
    orders.order_id,
    orders.user_id,
    orders.eval_set,
    orders.order_number,
    orders.order_dow,
    orders.order_hour_of_day,
    orders.days_since_prior_order,
    -- Null, not 0, for orders without lines: their baskets are unknown, not empty.
    cast(baskets.basket_size as integer) as basket_size,
    cast(baskets.reordered_items as integer) as reordered_items,
    cast(
        cast(baskets.reordered_items as numeric(18, 6)) / nullif(baskets.basket_size, 0) as numeric(7, 6)
    ) as reorder_share
from orders
left join baskets
    on orders.order_id = baskets.order_id

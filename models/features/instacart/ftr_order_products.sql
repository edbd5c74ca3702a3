with order_products as (

    select * from {{ ref('order_products') }}

),

orders as (

    select * from {{ ref('ftr_orders') }}

),

products as (

    select * from {{ ref('products') }}

)

select
    order_products.order_id,
    order_products.product_id,
    orders.user_id,
    products.aisle_id,
    orders.order_age,
    orders.order_day,
    orders.order_dow,
    orders.order_hour_of_day,
    orders.basket_size,
    order_products.add_to_cart_order,
    order_products.reordered,
    cast(
        row_number() over (
            partition by orders.user_id, order_products.product_id
            order by orders.order_age desc
        ) as integer
    ) as purchase_number,
    lag(orders.order_age) over (
        partition by orders.user_id, order_products.product_id
        order by orders.order_age desc
    ) as previous_order_age,
    lead(orders.order_age) over (
        partition by orders.user_id, order_products.product_id
        order by orders.order_age desc
    ) as next_order_age,
    orders.order_day - lag(orders.order_day) over (
        partition by orders.user_id, order_products.product_id
        order by orders.order_age desc
    ) as days_since_previous
from order_products
inner join orders
    on order_products.order_id = orders.order_id
inner join products
    on order_products.product_id = products.product_id

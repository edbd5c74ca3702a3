with orders as (

    select
        order_id,
        user_id
    from {{ ref('int_orders_accepted') }}

),

rejected_orders as (

    select user_id from {{ ref('int_orders_rejected') }}

),

rejected_order_products as (

    select order_id from {{ ref('int_order_products_rejected') }}

)

select user_id
from rejected_orders
where user_id is not null
union
select orders.user_id
from orders
inner join rejected_order_products
    on orders.order_id = rejected_order_products.order_id

with targets as (

    select * from {{ ref('ftr_targets') }}

),

order_products as (

    select * from {{ ref('ftr_order_products') }}

)

select
    order_products.order_id,
    order_products.product_id,
    targets.user_id,
    targets.orders_back,
    targets.history_orders,
    order_products.aisle_id,
    order_products.add_to_cart_order,
    order_products.reordered = 0 as is_first_purchase
from targets
inner join order_products
    on targets.order_id = order_products.order_id

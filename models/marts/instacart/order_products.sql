select
    order_id,
    product_id,
    add_to_cart_order,
    reordered
from {{ ref('int_order_products_accepted') }}

-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
with order_products as (

    {{ touched_rows(ref('int_order_products_accepted')) }}

)

select
    order_id,
    product_id,
    add_to_cart_order,
    reordered
from order_products

-- The gate of all marts of the source.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    product_id,
    product_name,
    aisle_id,
    department_id
from {{ ref('int_products_accepted') }}

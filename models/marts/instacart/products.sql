-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    product_id,
    product_name,
    aisle_id,
    department_id
from {{ ref('int_products_accepted') }}

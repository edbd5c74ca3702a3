-- The gate of all marts of the source.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    aisle_id,
    aisle
from {{ ref('int_aisles_accepted') }}

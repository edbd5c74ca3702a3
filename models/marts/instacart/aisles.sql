-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    aisle_id,
    aisle
from {{ ref('int_aisles_accepted') }}

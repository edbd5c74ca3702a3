select
    aisle_id,
    aisle
from {{ ref('int_aisles_accepted') }}

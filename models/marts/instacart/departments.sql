-- The gate of all marts of the source.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    department_id,
    department
from {{ ref('int_departments_accepted') }}

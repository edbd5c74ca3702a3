-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
select
    department_id,
    department
from {{ ref('int_departments_accepted') }}

select
    department_id,
    department
from {{ ref('int_departments_accepted') }}

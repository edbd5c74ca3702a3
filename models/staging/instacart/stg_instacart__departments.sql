{% set rules = {
    'readable': ['department_id'],
    'keys': ['department_id'],
    'domains': {},
} %}

with source as (

    select * from {{ source('instacart', 'departments') }}

),

cleaned as (

    select
        {{ clean_text('department_id') }} as department_id_text,
        {{ clean_text('department') }} as department,
        file_name,
        row_number,
        raw_record,
        malformed_reason,
        malformed_detail
    from source

),

typed as (

    select
        *,
        {{ safe_integer('department_id_text') }} as department_id
    from cleaned

)

select
    -- ids
    department_id,

    -- text
    department,

    -- where the row came from and whether it can be accepted
    'departments' as table_name,
    file_name,
    row_number,
    raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed

{# The length is the width of the mart: Redshift would cut a longer text without a word. #}
{% set rules = {
    'readable': ['department_id'],
    'keys': ['department_id'],
    'domains': {
        'department': 'department is null or length(department) <= 1000',
    },
} %}

with source as (

    {{ touched_rows(source('instacart', 'departments')) }}

),

cleaned as (

    select
        {{ clean_text('department_id') }} as department_id_text,
        {{ clean_text('department') }} as department_text,
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
        left(department_text, {{ kept_characters() }}) as department,
        {{ safe_integer('department_id_text') }} as department_id
    from cleaned

)

select
    -- ids
    department_id,

    -- text
    department,

    -- where the row came from and whether it can be accepted
    file_name,
    row_number,
    {{ displayed_record() }} as raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed

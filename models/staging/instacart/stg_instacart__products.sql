{# The length is the width of the mart: Redshift would cut a longer text without a word. #}
{% set rules = {
    'readable': ['product_id', 'aisle_id', 'department_id'],
    'keys': ['product_id', 'aisle_id', 'department_id'],
    'domains': {
        'product_name': 'product_name is null or length(product_name) <= 1000',
    },
} %}

with source as (

    {{ touched_rows(source('instacart', 'products')) }}

),

cleaned as (

    select
        {{ clean_text('product_id') }} as product_id_text,
        {{ clean_text('product_name') }} as product_name_text,
        {{ clean_text('aisle_id') }} as aisle_id_text,
        {{ clean_text('department_id') }} as department_id_text,
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
        left(product_name_text, {{ kept_characters() }}) as product_name,
        {{ safe_integer('product_id_text') }} as product_id,
        {{ safe_integer('aisle_id_text') }} as aisle_id,
        {{ safe_integer('department_id_text') }} as department_id
    from cleaned

)

select
    -- ids
    product_id,
    aisle_id,
    department_id,

    -- text
    product_name,

    -- where the row came from and whether it can be accepted
    file_name,
    row_number,
    {{ displayed_record() }} as raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed

{# The length is the width of the mart: Redshift would cut a longer text without a word. #}
{% set rules = {
    'readable': ['aisle_id'],
    'keys': ['aisle_id'],
    'domains': {
        'aisle': 'aisle is null or length(aisle) <= 1000',
    },
} %}

with source as (

    {{ touched_rows(source('instacart', 'aisles')) }}

),

cleaned as (

    select
        {{ clean_text('aisle_id') }} as aisle_id_text,
        {{ clean_text('aisle') }} as aisle_text,
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
        left(aisle_text, {{ kept_characters() }}) as aisle,
        {{ safe_integer('aisle_id_text') }} as aisle_id
    from cleaned

)

select
    -- ids
    aisle_id,

    -- text
    aisle,

    -- where the row came from and whether it can be accepted
    file_name,
    row_number,
    {{ displayed_record() }} as raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed

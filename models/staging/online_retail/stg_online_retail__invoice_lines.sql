{% set day_first = var('online_retail_day_first') %}
{% set rules = {
    'readable': ['invoice_no', 'quantity', 'invoiced_at', 'unit_price', 'customer_id'],
    'keys': ['invoice_no', 'stock_code'],
    'domains': {
        'quantity': 'quantity is not null',
        'invoiced_at': 'invoiced_at is not null',
        'unit_price': 'unit_price is not null',
    },
} %}

with source as (

    select * from {{ source('online_retail', 'invoice_lines') }}

),

cleaned as (

    select
        upper({{ clean_text('invoice_no') }}) as invoice_no_text,
        upper({{ clean_text('stock_code') }}) as stock_code,
        {{ clean_text('description') }} as description,
        {{ clean_text('quantity') }} as quantity_text,
        {{ clean_text('invoiced_at') }} as invoiced_at_text,
        {{ clean_text('unit_price') }} as unit_price_text,
        {{ clean_text('customer_id') }} as customer_id_text,
        {{ clean_text('country') }} as country,
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
        -- An optional prefix, C for a cancellation and A for bad debt, and digits.
        case when invoice_no_text ~ '^[AC]?[0-9]+$' then invoice_no_text end as invoice_no,
        {{ safe_integer('quantity_text') }} as quantity,
        {{ safe_timestamp('invoiced_at_text', day_first) }} as invoiced_at,
        {{ safe_money('unit_price_text', 12, 3) }} as unit_price,
        -- A number without meaning, which some copies write as 17850.0.
        cast({{ safe_integer('customer_id_text') }} as varchar) as customer_id
    from cleaned

)

select
    -- ids
    file_name || ':' || cast(row_number as varchar) as invoice_line_id,
    invoice_no,
    stock_code,
    customer_id,

    -- text
    description,
    country,

    -- numerics
    quantity,
    unit_price,

    -- booleans
    invoiced_at is null
    and {{ safe_timestamp('invoiced_at_text', not day_first) }} is not null as has_other_date_order,

    -- timestamps
    invoiced_at,

    -- where the row came from and whether it can be accepted
    'invoice_lines' as table_name,
    file_name,
    row_number,
    raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed

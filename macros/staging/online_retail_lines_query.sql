{% macro online_retail_lines_query(raw_table, landed=[]) %}
{% set day_first = var('online_retail_day_first') %}
{# The numbers go far beyond any invoice, so that amounts and their sums stay exact and the calendar finite. The lengths
   are the widths of the marts: Redshift would cut a longer text without a word. #}
{% set rules = {
    'readable': ['invoice_no', 'stock_code', 'quantity', 'invoiced_at', 'unit_price', 'customer_id'],
    'keys': ['invoice_no', 'stock_code'],
    'domains': {
        'quantity': 'quantity between -1000000 and 1000000',
        'invoiced_at': "invoiced_at >= '2000-01-01' and invoiced_at < '2050-01-01'",
        'unit_price': 'unit_price between -1000000 and 1000000',
        'stock_code': 'length(stock_code) <= 50',
        'description': 'description is null or length(description) <= 1000',
        'country': 'country is null or (length(country) <= 100 and ' ~ has_no_control_character('country') ~ ')',
    },
} %}

with source as (

    {{ touched_rows(source('online_retail', raw_table)) }}

),

cleaned as (

    select
        upper({{ clean_key('invoice_no') }}) as invoice_no_text,
        upper({{ clean_key('stock_code') }}) as stock_code_text,
        {{ clean_text('description') }} as description_text,
        {{ clean_text('quantity') }} as quantity_text,
        {{ clean_text('invoiced_at') }} as invoiced_at_text,
        {{ clean_text('unit_price') }} as unit_price_text,
        {{ clean_key('customer_id') }} as customer_id_text,
        {{ clean_key('country') }} as country_text,
        file_name,
        row_number,
        {% for column in landed %}
        {{ column }},
        {% endfor %}
        raw_record,
        malformed_reason,
        malformed_detail
    from source

),

typed as (

    select
        *,
        -- An optional prefix, C for a cancellation and A for bad debt, and digits.
        case
            when invoice_no_text ~ '^[AC]?[0-9]{1,19}([.]0+)?$' then {{ without_zero_fraction('invoice_no_text') }}
        end as invoice_no,
        case
            when {{ has_no_control_character('stock_code_text') }}
                then left({{ without_zero_fraction('stock_code_text') }}, {{ kept_characters() }})
        end as stock_code,
        left(description_text, {{ kept_characters() }}) as description,
        -- Words that programs write for a missing value are not countries.
        case
            when lower(country_text) not in ('null', 'nan', 'none', 'n/a', '#n/a')
                then left(country_text, {{ kept_characters() }})
        end as country,
        {{ safe_integer('quantity_text') }} as quantity,
        {{ safe_timestamp('invoiced_at_text', day_first) }} as invoiced_at,
        {{ safe_money('unit_price_text', 12, 3) }} as unit_price,
        -- A number by name only; some copies write it as 17850.0.
        cast({{ safe_integer('customer_id_text') }} as varchar) as customer_id
    from cleaned

),

judged as (

    select
        *,
        {{ rejection_reason(rules) }} as rejection_reason,
        {{ rejection_detail(rules) }} as rejection_detail
    from typed

)

select
    -- ids
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
    -- Null if day and month cannot be confused.
    case when invoiced_at_text like '%/%' then extract(day from invoiced_at) > 12 end as is_date_order_certain,

    -- timestamps
    invoiced_at,

    -- where the row came from and whether it can be accepted
    file_name,
    row_number,
    {% for column in landed %}
    {{ column }},
    {% endfor %}
    -- Only the row itself is judged here, so the line of an accepted row is never needed again.
    case when rejection_reason is not null then {{ displayed_record() }} end as raw_record,
    rejection_reason,
    rejection_detail
from judged
{% endmacro %}

{% macro instacart_order_products(eval_set) %}
{% set rules = {
    'readable': ['order_id', 'product_id', 'add_to_cart_order', 'reordered'],
    'keys': ['order_id', 'product_id'],
    'domains': {
        'add_to_cart_order': 'add_to_cart_order >= 1',
        'reordered': 'reordered in (0, 1)',
    },
} %}

with source as (

    select * from {{ source('instacart', 'order_products__' ~ eval_set) }}

),

cleaned as (

    select
        {{ clean_text('order_id') }} as order_id_text,
        {{ clean_text('product_id') }} as product_id_text,
        {{ clean_text('add_to_cart_order') }} as add_to_cart_order_text,
        {{ clean_text('reordered') }} as reordered_text,
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
        {{ safe_integer('order_id_text') }} as order_id,
        {{ safe_integer('product_id_text') }} as product_id,
        {{ safe_integer('add_to_cart_order_text', 'smallint') }} as add_to_cart_order,
        {{ safe_integer('reordered_text', 'smallint') }} as reordered
    from cleaned

)

select
    -- ids
    order_id,
    product_id,

    -- numerics
    add_to_cart_order,
    reordered,

    -- where the row came from and whether it can be accepted
    'order_products__{{ eval_set }}' as table_name,
    file_name,
    row_number,
    -- Kept only where it differs from the official spelling of the values, from which it can be rebuilt.
    nullif(raw_record, {{ official_order_product_record() }}) as raw_record,
    {{ rejection_reason(rules) }} as rejection_reason,
    {{ rejection_detail(rules) }} as rejection_detail
from typed
{% endmacro %}

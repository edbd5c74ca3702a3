{% macro instacart_order_products_query(eval_set) %}
{# Lines in the official spelling, nearly all, hold what the rules below ask for, and are not checked again. #}
{% set official = 'raw_record is null' %}
{% set rules = {
    'readable': ['order_id', 'product_id', 'add_to_cart_order', 'reordered'],
    'keys': ['order_id', 'product_id'],
    'domains': {
        'add_to_cart_order': 'add_to_cart_order >= 1',
        'reordered': 'reordered in (0, 1)',
    },
} %}

with source as (

    {{ touched_rows(source('instacart', 'order_products__' ~ eval_set)) }}

),

cleaned as (

    select
        {{ clean_text('order_id', unless=official) }} as order_id_text,
        {{ clean_text('product_id', unless=official) }} as product_id_text,
        {{ clean_text('add_to_cart_order', unless=official) }} as add_to_cart_order_text,
        {{ clean_text('reordered', unless=official) }} as reordered_text,
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
        {{ safe_integer('order_id_text', unless=official) }} as order_id,
        {{ safe_integer('product_id_text', unless=official) }} as product_id,
        {{ safe_integer('add_to_cart_order_text', 'smallint', unless=official) }} as add_to_cart_order,
        {{ safe_integer('reordered_text', 'smallint', unless=official) }} as reordered
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
    file_name,
    row_number,
    {{ displayed_record() }} as raw_record,
    {{ rejection_reason(rules, unless=official) }} as rejection_reason,
    {{ rejection_detail(rules, unless=official) }} as rejection_detail
from typed
{% endmacro %}

{% macro official_order_product_record() -%}
    cast(order_id as varchar) || ',' || cast(product_id as varchar) || ','
    || cast(add_to_cart_order as varchar) || ',' || cast(reordered as varchar)
{%- endmacro %}

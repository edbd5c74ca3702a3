{% macro least_orders(orders, share) -%}
    floor({{ orders }} * cast({{ '%.8f' | format(share) }} as numeric(9, 8)))
{%- endmacro %}

{# In thousandths of a pound. #}
{% macro money_share(part, whole, precision=7, scale=6) -%}
    {{ ratio(part ~ ' * 1000', whole ~ ' * 1000', precision, scale, is_large=true) }}
{%- endmacro %}

{# Twelve decimals are added up exactly, whatever the order of the rows, so that every run gives the same features. #}
{% macro decay(base, age) -%}
    cast(sum(cast(power(cast({{ base }} as double precision), {{ age }} - 1) as numeric(13, 12))) as double precision)
{%- endmacro %}

{# Knuth's multiplicative hash: https://en.wikipedia.org/wiki/Hash_function#Multiplicative_hashing #}
{% macro shuffled(key) -%}
    mod(cast({{ key }} as bigint) * 2654435761, 4294967296)
{%- endmacro %}

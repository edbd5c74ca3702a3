{% macro readable_with_key() -%}
    (rejection_reason is null or rejection_reason = 'out_of_domain')
{%- endmacro %}

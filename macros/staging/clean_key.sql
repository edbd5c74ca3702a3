{% macro clean_key(column) -%}
    {{ return(clean_text(visible_text(column))) }}
{%- endmacro %}

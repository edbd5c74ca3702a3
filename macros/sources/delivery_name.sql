{% macro delivery_name(file_name) -%}
    case when lower(right({{ file_name }}, 3)) = '.gz' then left({{ file_name }}, length({{ file_name }}) - 3) else {{ file_name }} end
{%- endmacro %}

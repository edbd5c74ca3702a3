{% macro history_severity() -%}
    {{ return('error' if var('complete_histories') else 'warn') }}
{%- endmacro %}

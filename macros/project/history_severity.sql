{% macro history_severity() -%}
    {%- set complete = var('complete_histories') -%}
    {%- if complete is none -%}
        {%- set complete = not env_var('INSTACART_DATA', '') -%}
    {%- endif -%}
    {{ return('error' if complete else 'warn') }}
{%- endmacro %}

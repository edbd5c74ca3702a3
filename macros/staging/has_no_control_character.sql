{% macro has_no_control_character(text) -%}
    {{ return(adapter.dispatch('has_no_control_character', 'retail_warehouse')(text)) }}
{%- endmacro %}

{# A text cannot hold the character NUL there. #}
{% macro default__has_no_control_character(text) -%}
    {{ return(text ~ " ~ '^[^\u0001-\u001f\u007f]*$'") }}
{%- endmacro %}

{# https://duckdb.org/docs/stable/sql/functions/regular_expressions #}
{% macro duckdb__has_no_control_character(text) -%}
    {{ return("regexp_full_match(" ~ text ~ ", '[^\\x00-\\x1f\\x7f]*')") }}
{%- endmacro %}

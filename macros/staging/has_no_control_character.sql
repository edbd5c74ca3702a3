{% macro has_no_control_character(text) -%}
    {{ return(adapter.dispatch('has_no_control_character', 'retail_warehouse')(text)) }}
{%- endmacro %}

{# A text cannot hold the character NUL there. Those from 0x80 on are taken out one by one, since a range of characters of several
   bytes is none in a pattern. #}
{% macro default__has_no_control_character(text) -%}
    {% set further = '\u0080\u0081\u0082\u0083\u0084\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f'
        ~ '\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e'
        ~ '\u009f' %}
    {{ return(
        '(' ~ text ~ " ~ '^[^\u0001-\u001f\u007f]*$' and translate(" ~ text ~ ", '" ~ further ~ "', '') = " ~ text ~ ')'
    ) }}
{%- endmacro %}

{# https://duckdb.org/docs/stable/sql/functions/regular_expressions #}
{% macro duckdb__has_no_control_character(text) -%}
    {{ return("regexp_full_match(" ~ text ~ ", '[^\\x00-\\x1f\\x7f-\\x{9f}]*')") }}
{%- endmacro %}

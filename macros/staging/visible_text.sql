{# Characters that nobody sees, and spaces other than the one that a keyboard has:
   https://www.unicode.org/Public/UCD/latest/ucd/PropList.txt (White_Space), and the zero-width characters, the soft hyphen and the
   byte order mark. #}
{% macro visible_text(column) -%}
    {{ return(adapter.dispatch('visible_text', 'retail_warehouse')(column)) }}
{%- endmacro %}

{% macro default__visible_text(column) -%}
    {% set spaces = '\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000' %}
    {% set unseen = '\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff' %}
    {{ return("translate(" ~ column ~ ", '" ~ spaces ~ unseen ~ "', '" ~ ' ' * (spaces | length) ~ "')") }}
{%- endmacro %}

{# Text of ASCII, nearly all, needs no look. #}
{% macro duckdb__visible_text(column) -%}
    {{ return(
        'case when strlen(' ~ column ~ ') = length(' ~ column ~ ') then ' ~ column ~ ' else '
        ~ retail_warehouse.default__visible_text(column) ~ ' end'
    ) }}
{%- endmacro %}

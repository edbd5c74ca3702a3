{# Spaces other than the one that a keyboard has, characters that nobody sees, and letters and digits of full width:
   https://www.unicode.org/Public/UCD/latest/ucd/PropList.txt (White_Space, Bidi_Control),
   https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt (Default_Ignorable_Code_Point),
   https://www.unicode.org/charts/PDF/UFF00.pdf. `retail_warehouse/serving/keys.py` has the same for look-ups. #}
{% macro visible_text(column) -%}
    {{ return(adapter.dispatch('visible_text', 'retail_warehouse')(column)) }}
{%- endmacro %}

{% macro default__visible_text(column) -%}
    {% set spaces = '\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028'
        ~ '\u2029\u202f\u205f\u3000' %}
    {% set unseen = '\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060'
        ~ '\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff' %}
    {% set wide = '\uff0b\uff0d\uff0e\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff21\uff22'
        ~ '\uff23\uff24\uff25\uff26\uff27\uff28\uff29\uff2a\uff2b\uff2c\uff2d\uff2e\uff2f\uff30\uff31'
        ~ '\uff32\uff33\uff34\uff35\uff36\uff37\uff38\uff39\uff3a\uff41\uff42\uff43\uff44\uff45\uff46'
        ~ '\uff47\uff48\uff49\uff4a\uff4b\uff4c\uff4d\uff4e\uff4f\uff50\uff51\uff52\uff53\uff54\uff55'
        ~ '\uff56\uff57\uff58\uff59\uff5a' %}
    {% set narrow = '+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' %}
    {{ return("translate(" ~ column ~ ", '" ~ spaces ~ wide ~ unseen ~ "', '" ~ ' ' * (spaces | length) ~ narrow ~ "')") }}
{%- endmacro %}

{# Text of ASCII, nearly all, needs no look. #}
{% macro duckdb__visible_text(column) -%}
    {{ return(
        'case when strlen(' ~ column ~ ') = length(' ~ column ~ ') then ' ~ column ~ ' else '
        ~ retail_warehouse.default__visible_text(column) ~ ' end'
    ) }}
{%- endmacro %}

{# In whole numbers, since engines differ in how they round a quotient of decimals or doubles. #}
{% macro ratio(numerator, denominator, precision=7, scale=6, is_large=false) -%}
    {% set shift = 2 * 10 ** scale %}
    {% set unit = "cast(" ~ '%.*f' | format(scale, 0.1 ** scale) ~ " as numeric(" ~ (scale + 1) ~ ", " ~ scale ~ "))" %}
    {% set whole = 'cast(' ~ denominator ~ ' as bigint)' -%}
    {% set quotient = whole_quotient(
        'cast(' ~ numerator ~ ' as bigint) * ' ~ shift ~ ' + ' ~ whole, 'nullif(2 * ' ~ whole ~ ', 0)'
    ) -%}
    {% if is_large -%}
    {# Numbers of 38 digits are slow, and hardly ever needed. #}
    {% set whole = 'cast(' ~ denominator ~ ' as numeric(38, 0))' -%}
    {% set large_quotient = large_whole_quotient(
        'cast(' ~ numerator ~ ' as numeric(38, 0)) * ' ~ shift ~ ' + ' ~ whole, 'nullif(2 * ' ~ whole ~ ', 0)'
    ) -%}
    {% set largest = (2 ** 62 / shift) | int -%}
    {% set quotient -%}
        case
            when {{ numerator }} <= {{ largest }} and {{ denominator }} <= {{ 2 ** 61 }} then {{ quotient }}
            else {{ large_quotient }}
        end
    {%- endset -%}
    {% endif -%}
    cast(
        cast({{ quotient }} as numeric({{ 30 if is_large else 18 }}, 0)) * {{ unit }}
        as numeric({{ precision }}, {{ scale }})
    )
{%- endmacro %}

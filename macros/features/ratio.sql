{# In whole numbers, since engines differ in how they round a quotient of decimals or doubles. #}
{% macro ratio(numerator, denominator, precision=7, scale=6) -%}
    {% set whole = 'cast(' ~ denominator ~ ' as bigint)' -%}
    cast(
        cast(
            {{ whole_quotient(
                'cast(' ~ numerator ~ ' as bigint) * ' ~ 2 * 10 ** scale ~ ' + ' ~ whole, 'nullif(2 * ' ~ whole ~ ', 0)'
            ) }} as numeric(18, 0)
        ) * cast({{ '%.*f' | format(scale, 0.1 ** scale) }} as numeric({{ scale + 1 }}, {{ scale }}))
        as numeric({{ precision }}, {{ scale }})
    )
{%- endmacro %}

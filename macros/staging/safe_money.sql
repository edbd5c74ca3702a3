{% macro safe_money(text, precision, scale) -%}
    {# Text first: a cast alone would round a fourth decimal and read '1e3'. Further zeros change nothing. #}
    cast(case
        when {{ text }} ~ '^-?[0-9]+([.][0-9]{1,{{ scale }}}0*)?$' then try_cast({{ text }} as numeric({{ precision }}, {{ scale }}))
    end as numeric({{ precision }}, {{ scale }}))
{%- endmacro %}

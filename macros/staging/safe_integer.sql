{% macro safe_integer(text, type='integer', unless=none) -%}
    {# A cast alone would round '1.5' to 2, read '0x1F' as 31 and '1e3' as 1000, so the text is checked first.
       https://docs.aws.amazon.com/redshift/latest/dg/r_TRY_CAST.html
       https://duckdb.org/docs/stable/sql/expressions/cast#try_cast #}
    case
        {% if unless -%}
        when {{ unless }} then cast({{ text }} as {{ type }})
        {% endif -%}
        when {{ text }} ~ '^[+-]?[0-9]+([.]0+)?$' then try_cast(split_part({{ text }}, '.', 1) as {{ type }})
    end
{%- endmacro %}

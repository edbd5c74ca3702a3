{% macro without_zero_fraction(text) -%}
    {# A pattern is costly, and hardly any text holds `.0`. #}
    case
        when {{ text }} like '%.0%' and {{ text }} ~ '^[A-Z]?[0-9]+[.]0+$' then split_part({{ text }}, '.', 1)
        else {{ text }}
    end
{%- endmacro %}

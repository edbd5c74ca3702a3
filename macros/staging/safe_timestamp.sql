{% macro safe_timestamp(text, day_first=false) -%}
    {# Brought into the ISO form by its parts, then cast: both engines refuse a 13th month or a 30th of February there. #}
    {% set date = "split_part(" ~ text ~ ", ' ', 1)" %}
    {% set time = "split_part(" ~ text ~ ", ' ', 2)" %}
    case
        when {{ text }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}$' then try_cast({{ text }} as timestamp)
        when {{ text }} ~ '^[0-9]{1,2}/[0-9]{1,2}/([0-9]{2}|[0-9]{4}) ([01]?[0-9]|2[0-3]):[0-9]{2}$' then try_cast(
            case when length(split_part({{ date }}, '/', 3)) = 2 then '20' else '' end || split_part({{ date }}, '/', 3)
            || '-' || lpad(split_part({{ date }}, '/', {{ 2 if day_first else 1 }}), 2, '0')
            || '-' || lpad(split_part({{ date }}, '/', {{ 1 if day_first else 2 }}), 2, '0')
            || ' ' || lpad(split_part({{ time }}, ':', 1), 2, '0') || ':' || split_part({{ time }}, ':', 2) || ':00'
            as timestamp
        )
    end
{%- endmacro %}

{% macro csv_fields(line) %}
    {# RFC 4180 on one line: a field is either "quoted", with "" for a quote inside, or has no quote at all.
       Null where the quotes do not fit. Lines without any quote, nearly all, take the fast branch. #}
    {% set quoted = '"(?:[^"]|"")*"' %}
    {% set field = '(?:' ~ quoted ~ '|[^",]*)' %}
    {% set expression %}
        case
            when not contains({{ line }}, '"') then string_split({{ line }}, ',')
            when regexp_full_match({{ line }}, '{{ field }}(?:,{{ field }})*') then list_transform(
                regexp_extract_all({{ line }} || ',', '({{ field }}),', 1),
                lambda field: case
                    when starts_with(field, '"') then replace(field[2:-2], '""', '"') else field
                end
            )
        end
    {% endset %}
    {{ return(expression) }}
{% endmacro %}

{% macro split_lines_query(lines, header, official, official_line=none, place=[]) %}
    {% set width = header | length %}
    {% set query %}
        select
            {% for column in official %}
            {% set name = header | select('in', header_names(column)) | first %}
            case when len(fields) = {{ width }} then fields[{{ header.index(name) + 1 }}] end
                as {{ column if column is string else column.column }},
            {% endfor %}
            {% for column in place %}
            {{ column }},
            {% endfor %}
            case when is_official then null when strlen(line) > 1000 then left(line, 1000) else line end as raw_record,
            case
                when fields is null then 'broken_quote'
                when len(fields) <> {{ width }} then 'wrong_field_count'
            end as malformed_reason,
            case
                when fields is null then 'a double quote is not closed, or stands inside an unquoted field'
                when len(fields) <> {{ width }}
                    then len(fields) || ' fields, the header has {{ width }}'
            end as malformed_detail
        from (
            select
                *,
                {{ csv_fields('line') }} as fields,
                {{ "regexp_full_match(line, '" ~ official_line ~ "')" if official_line else 'false' }} as is_official
            from {{ lines }}
        ) as split
    {% endset %}
    {{ return(query) }}
{% endmacro %}

{% macro split_lines_query(lines, header, official, official_line=none, place=[], has_bad_bytes=false, has_verdict=false) %}
    {% set width = header | length %}
    {# Put before each byte that is no letter by the reader of raw files (`BAD_BYTE` there). #}
    {% set bad_byte = 'chr(65534)' %}
    {% set query %}
        select
            {% for column in official %}
            {% set name = header | select('in', header_names(column)) | first %}
            case when len(fields) = {{ width }}{{ ' and not contains(line, ' ~ bad_byte ~ ')' if has_bad_bytes }}{{ ' and landed_reason is null' if has_verdict }} then fields[{{ header.index(name) + 1 }}] end
                as {{ column if column is string else column.column }},
            {% endfor %}
            {% for column in place %}
            {{ column }},
            {% endfor %}
            case when not is_official then line end as raw_record,
            case
                {% if has_verdict %}
                when landed_reason is not null then landed_reason
                {% endif %}
                when fields is null then 'broken_quote'
                when len(fields) <> {{ width }} then 'wrong_field_count'
                {% if has_bad_bytes %}
                when contains(line, {{ bad_byte }}) then 'unreadable_value'
                {% endif %}
            end as malformed_reason,
            case
                {% if has_verdict %}
                when landed_reason is not null then landed_detail
                {% endif %}
                when fields is null then 'a double quote is not closed, or stands inside an unquoted field'
                when len(fields) <> {{ width }}
                    then len(fields) || ' fields, the header has {{ width }}'
                {% if has_bad_bytes %}
                when contains(line, {{ bad_byte }})
                    then 'the byte 0x' || regexp_extract(line, {{ bad_byte }} || '(..)', 1) || ' is no letter of the file''s encoding'
                {% endif %}
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

{% macro streamed_lines_query(table, events) %}
    {# The lines of a stream have no header; its columns are the official ones in their order. Of a long line that the API
       has rejected, only the beginning was landed, with its verdict. #}
    {% set header = [] %}
    {% for column in table.meta.header %}
        {% do header.append(header_names(column)[0]) %}
    {% endfor %}
    {{ return(split_lines_query(events, header, table.meta.header, none, [
        "regexp_replace(event_id, ':[0-9]+$', '') as file_name",
        "regexp_extract(event_id, '[0-9]+$')::integer as row_number",
        'landing_file',
        'landing_position::integer as landing_position',
    ], has_bad_bytes=true, has_verdict=true)) }}
{% endmacro %}

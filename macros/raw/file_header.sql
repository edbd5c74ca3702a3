{% macro file_header(path, encoding) %}
    {# null: the file has no line at all; an empty list: the first line has a broken quote. #}
    {% set query %}
        select 'header:' || array_to_string(list_transform(fields, lambda name: trim(name)), chr(31)) as header
        from (
            select {{ csv_fields('line') }} as fields
            from (select coalesce(line, '') as line from {{ read_lines(path, encoding) }} limit 1)
        )
    {% endset %}
    {% set rows = run_query(query).columns[0].values() | list %}
    {% if not rows %}
        {{ return(none) }}
    {% endif %}
    {{ return(rows[0][7:].split('\x1f') if rows[0] else []) }}
{% endmacro %}

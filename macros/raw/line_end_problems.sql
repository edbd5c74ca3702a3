{% macro line_end_problems(path, file_name, encoding) %}
    {# Read with LF as the line end, a CRLF file has an empty second line. #}
    {% set second_line = run_query(
        "select coalesce(line, '') from " ~ read_lines(path, encoding, options="ignore_errors = true, new_line = '\\n'")
        ~ ' limit 1 offset 1'
    ).columns[0].values() | list %}
    {% if second_line != [''] %}
        {{ return([]) }}
    {% endif %}
    {# Only files with CRLF are looked through. #}
    {% set query %}
        {% if path.lower().endswith('.gz') %}
        {# Every second line is empty; a carriage return alone puts text on the next even one. #}
        select count(*) > 0
        from (
            select row_number() over () as line_number, line
            from {{ read_lines(path, encoding, options="ignore_errors = true, new_line = '\\n'") }}
        )
        where line_number % 2 = 0 and line <> ''
        {% else %}
        {# As text, a blob spells its carriage returns \x0D. #}
        select
            (length(bytes) - length(replace(bytes, '\x0D', ''))) // 4
            <> (length(bytes) - length(replace(bytes, '\x0D\x0A', ''))) // 8
        from (select content::varchar as bytes from read_blob({{ path_literal(path) }}))
        {% endif %}
    {% endset %}
    {% if run_query(query).columns[0].values()[0] %}
        {{ return([
            'file ' ~ file_name ~ ' ends its lines with CRLF, but holds a carriage return without a line feed as well;'
            ~ ' write all line ends alike'
        ]) }}
    {% endif %}
    {{ return([]) }}
{% endmacro %}

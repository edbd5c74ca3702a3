{% macro raw_small_files_query(files, official) %}
    {# One reader over all of them: with one for each, thousands of files take minutes to plan.
       https://duckdb.org/docs/stable/guides/file_formats/read_file #}
    {# All at once: a call for each takes a second of thousands. #}
    {% set paths = path_literal(files | map(attribute='path') | join('\x00')) | replace('\x00', "', '") %}
    {% set folder = files[0].path[:-(files[0].name | length)] %}
    {% set lines %}
        (
            select
                replace(substring(filename, {{ folder | length + 1 }}), '\', '/') as file_name,
                row_number,
                line
            from (
                select
                    filename,
                    unnest(lines) as line,
                    generate_subscripts(lines, 1) as row_number,
                    len(lines) as line_count
                from (select filename, string_split(content, chr(10)) as lines from read_text([{{ paths }}]))
            )
            {# What follows the last line end is a line only if it holds something. #}
            where row_number > 1 and (row_number < line_count or line <> '')
        )
    {% endset %}
    {{ return(split_lines_query(
        lines,
        files[0].header,
        official,
        files[0].table.meta.official_line if files[0].header == official else none,
        ['file_name', 'row_number::integer as row_number'],
    )) }}
{% endmacro %}

{% macro file_encoding(path) %}
    {# One scan with rejects stored finds invalid byte sequences, and letters beyond ASCII by their length in bytes. #}
    {% set rejects = "store_rejects = true, rejects_table = 'encoding_errors', rejects_scan = 'encoding_scans'" %}
    {% do run_query('drop table if exists temp.encoding_errors') %}
    {% do run_query('drop table if exists temp.encoding_scans') %}
    {% set is_ascii = run_query(
        'select coalesce(sum(strlen(line) - length(line)), 0) = 0 from ' ~ read_lines(path, options=rejects)
    ).columns[0].values()[0] %}
    {% set errors = run_query(
        "select count(*) from temp.encoding_errors where error_type::varchar = 'INVALID ENCODING'"
    ).columns[0].values()[0] %}
    {{ return('latin-1' if errors else 'ascii' if is_ascii else 'utf-8') }}
{% endmacro %}

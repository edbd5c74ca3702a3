{% macro file_encoding(path) %}
    {# Valid UTF-8, else Latin-1. One scan with rejects stored finds the first invalid byte sequence. #}
    {% set rejects = "store_rejects = true, rejects_table = 'encoding_errors', rejects_scan = 'encoding_scans'" %}
    {% do run_query('drop table if exists temp.encoding_errors') %}
    {% do run_query('drop table if exists temp.encoding_scans') %}
    {% do run_query('select sum(strlen(line)) from ' ~ read_lines(path, options=rejects)) %}
    {% set errors = run_query(
        "select count(*) from temp.encoding_errors where error_type::varchar = 'INVALID ENCODING'"
    ).columns[0].values()[0] %}
    {{ return('latin-1' if errors else 'utf-8') }}
{% endmacro %}

{% macro raw_file_list_query(files) %}
    {% set rows = [] %}
    {% for file in files %}
        {% set values = [file.table.name, file.name, file.fingerprint, file.encoding or ''] %}
        {% do rows.append("('" ~ values | map('replace', "'", "''") | join("', '") ~ "')") %}
    {% endfor %}
    {{ return(
        "select table_name, file_name, fingerprint, nullif(encoding, '') as encoding from (values "
        ~ rows | join(', ') ~ ') as files(table_name, file_name, fingerprint, encoding)'
    ) }}
{% endmacro %}

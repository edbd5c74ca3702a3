{% macro raw_file_list_query(files) %}
    {% set rows = [] %}
    {% for file in files %}
        {% do rows.append("select '" ~ file.table.name ~ "' as table_name, '" ~ file.name | replace("'", "''") ~ "' as file_name") %}
    {% endfor %}
    {{ return(rows | join(' union all ')) }}
{% endmacro %}

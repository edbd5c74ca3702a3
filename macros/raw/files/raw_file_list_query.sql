{% macro raw_file_list_query(files) %}
    {% set rows = [] %}
    {% for file in files %}
        {% do rows.append([file.table.name, file.name, file.fingerprint, file.encoding or none]) %}
    {% endfor %}
    {{ return(
        "select file[1] as table_name, file[2] as file_name, file[3] as fingerprint, file[4] as encoding "
        ~ "from (select unnest(from_json('" ~ tojson(rows) | replace("'", "''") ~ "', '[[\"VARCHAR\"]]')) as file)"
    ) }}
{% endmacro %}

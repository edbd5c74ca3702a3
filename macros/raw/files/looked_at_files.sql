{% macro looked_at_files(files) %}
    {{ return(fromjson(
        run_query("select look_at_raw_files('" ~ tojson(files) | replace("'", "''") ~ "')").columns[0].values()[0]
    )) }}
{% endmacro %}

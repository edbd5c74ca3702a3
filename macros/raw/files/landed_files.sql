{% macro landed_files(folder, processed) %}
    {% set asked = {'folder': folder, 'processed': processed} %}
    {{ return(fromjson(
        run_query("select list_landed_files('" ~ tojson(asked) | replace("'", "''") ~ "')").columns[0].values()[0]
    )) }}
{% endmacro %}

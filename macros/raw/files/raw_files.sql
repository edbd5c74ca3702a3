{% macro raw_files(folder, tables=none, depth=100) %}
    {% if not run_query("select 1 from duckdb_functions() where function_name = 'list_raw_files'") | length %}
        {% do exceptions.raise_compiler_error(
            'profiles.yml is of an earlier version of the project, without the reader of raw files. Copy profiles.yml.example to '
            ~ 'profiles.yml, or add to the output dev: plugins: [{module: retail_warehouse.dbt_plugin}]'
        ) %}
    {% endif %}
    {% set asked = {'folder': folder, 'tables': tables, 'depth': depth} %}
    {{ return(fromjson(
        run_query("select list_raw_files('" ~ tojson(asked) | replace("'", "''") ~ "')").columns[0].values()[0]
    )) }}
{% endmacro %}

{% macro parquet_folder_step(step, folder) %}
    {% set answer = run_query('select ' ~ step ~ "('" ~ folder | replace("'", "''") ~ "')").rows[0][0] %}
    {% set answer = fromjson(answer) %}
    {% if answer.problem %}
        {% do exceptions.raise_compiler_error('export_parquet: ' ~ answer.problem) %}
    {% endif %}
    {{ return(answer.folder) }}
{% endmacro %}

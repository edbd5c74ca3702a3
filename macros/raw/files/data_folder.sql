{% macro data_folder(source_meta) %}
    {% set folder = env_var(source_meta.folder_variable, '') or source_meta.sample_folder %}
    {# Below the project's folder, wherever dbt runs. Absolute where dbt tells the project's folder so, that the raw views
       can be read from any working directory. #}
    {% set project_dir = invocation_args_dict.project_dir or '' %}
    {% if '://' not in folder and not folder.startswith('/') and project_dir %}
        {% set folder = project_dir ~ '/' ~ folder %}
    {% endif %}
    {% if '://' in folder %}
        {{ return(folder.rstrip('/')) }}
    {% endif %}
    {# As DuckDB lists paths: without `//`, `.` and `..`, so that `raw_files` can tell the part below the folder. #}
    {% set parts = [] %}
    {% for part in folder.split('/') %}
        {% if part == '..' and parts and parts[-1] != '..' %}
            {% do parts.pop() %}
        {% elif part not in ['', '.'] %}
            {% do parts.append(part) %}
        {% endif %}
    {% endfor %}
    {{ return(('/' if folder.startswith('/') else '') ~ parts | join('/')) }}
{% endmacro %}

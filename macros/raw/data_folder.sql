{% macro data_folder(source_meta) %}
    {% set folder = env_var(source_meta.folder_variable, '') or source_meta.sample_folder %}
    {% set folder = folder if folder == '/' else folder.rstrip('/') %}
    {# Absolute where dbt tells the project's folder so, that the raw views can be read from any working directory. #}
    {% set project_dir = invocation_args_dict.project_dir or '' %}
    {% if '://' not in folder and not folder.startswith('/') and project_dir.startswith('/') %}
        {% set folder = project_dir ~ '/' ~ folder %}
    {% endif %}
    {{ return(folder) }}
{% endmacro %}

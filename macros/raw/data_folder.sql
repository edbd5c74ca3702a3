{% macro data_folder(source_meta) %}
    {% set folder = env_var(source_meta.folder_variable, '') or source_meta.sample_folder %}
    {% set folder = folder if folder == '/' else folder.rstrip('/') %}
    {# Absolute, so that the raw views can be read from any working directory. #}
    {% if '://' in folder or folder.startswith('/') %}
        {{ return(folder) }}
    {% endif %}
    {{ return(flags.PROJECT_DIR ~ '/' ~ folder) }}
{% endmacro %}

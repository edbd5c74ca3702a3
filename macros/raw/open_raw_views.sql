{% macro open_raw_views(source_name) %}
    {% if execute %}
        {% do check_settings() %}
        {% do create_processed_files() %}
        {% do renew_raw_views({source_name: raw_tables_of(source_name)}) %}
    {% endif %}
{% endmacro %}

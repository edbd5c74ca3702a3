{% macro prepare_raw_tables() %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% do adapter.dispatch('prepare_raw_tables', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{# Elsewhere (Redshift) the raw tables are loaded before the build. #}
{% macro default__prepare_raw_tables() %}{% endmacro %}

{% macro duckdb__prepare_raw_tables() %}
    {# Only of `dbt retry` dbt does not say what is selected. #}
    {% if not selected_resources %}
        {% do refuse_retry_of_changed_files() %}
    {% endif %}
    {% do renew_raw_views(selected_raw_tables()) %}
{% endmacro %}

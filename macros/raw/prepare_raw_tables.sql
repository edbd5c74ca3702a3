{% macro prepare_raw_tables() %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% do adapter.dispatch('prepare_raw_tables', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{# Elsewhere (Redshift) the raw tables are loaded before the build. #}
{% macro default__prepare_raw_tables() %}{% endmacro %}

{% macro duckdb__prepare_raw_tables() %}
    {% do renew_raw_views(selected_raw_tables()) %}
{% endmacro %}

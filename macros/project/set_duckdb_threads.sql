{# Not in the profile, since no value there stands for DuckDB's own default. #}
{% macro set_duckdb_threads() %}
    {% if execute %}
        {% do adapter.dispatch('set_duckdb_threads', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{% macro default__set_duckdb_threads() %}{% endmacro %}

{% macro duckdb__set_duckdb_threads() %}
    {% if env_var('DUCKDB_THREADS', '') %}
        {% do run_query('set global threads = ' ~ env_var('DUCKDB_THREADS') | int) %}
    {% endif %}
{% endmacro %}

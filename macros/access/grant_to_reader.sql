{% macro grant_to_reader() %}
    {% if execute and var('reader') %}
        {% do adapter.dispatch('grant_to_reader', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{# A DuckDB file has no users. #}
{% macro default__grant_to_reader() %}{% endmacro %}

{# `dbt_project.yml` cannot hand a var to dbt's `grants` config. #}
{% macro redshift__grant_to_reader() %}
    {% set grants = redshift__normalize_grants_dict({'select': reader_grantees()}) %}
    {% do apply_grants(this, grants, should_revoke=false) %}
{% endmacro %}

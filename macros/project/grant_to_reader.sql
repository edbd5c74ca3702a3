{% macro grant_to_reader() %}
    {% if execute and var('reader') %}
        {% do adapter.dispatch('grant_to_reader', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{# A DuckDB file has no users. #}
{% macro default__grant_to_reader() %}{% endmacro %}

{# dbt's `grants` config gives rights on tables only, and `dbt_project.yml` cannot hand it a var. #}
{% macro redshift__grant_to_reader() %}
    {% set grants = redshift__normalize_grants_dict({'select': [var('reader')]}) %}
    {% do run_query(
        'grant usage on schema ' ~ this.include(database=false, identifier=false) ~ ' to '
        ~ redshift__format_grantees(grants.select) | join(', ')
    ) %}
    {% do apply_grants(this, grants, should_revoke=false) %}
{% endmacro %}

{% macro grant_usage_to_reader(schemas) %}
    {% if execute and var('reader') and flags.WHICH in ['build', 'run', 'seed'] %}
        {% do adapter.dispatch('grant_usage_to_reader', 'retail_warehouse')(schemas) %}
    {% endif %}
{% endmacro %}

{# A DuckDB file has no users. #}
{% macro default__grant_usage_to_reader(schemas) %}{% endmacro %}

{# At the end and one after the other: models that run at the same time would change the rights of a schema together. #}
{% macro redshift__grant_usage_to_reader(schemas) %}
    {% set closed = graph.nodes.values() | selectattr('fqn.1', 'in', ['staging', 'intermediate'])
        | map(attribute='schema') | unique | list %}
    {% set grantees = redshift__format_grantees(reader_grantees()) | join(', ') %}
    {% for schema in schemas if schema not in closed %}
        {% do run_query('grant usage on schema ' ~ adapter.quote(schema) ~ ' to ' ~ grantees) %}
        {# The ledger is no model, so it has no hook of its own. #}
        {% if schema == processed_files().schema %}
            {% do run_query('grant select on ' ~ processed_files() ~ ' to ' ~ grantees) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

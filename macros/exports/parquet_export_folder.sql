{% macro parquet_export_folder(relation) %}
    {% set base = env_var('PARQUET_EXPORT', '') or 'exports' %}
    {{ return([base.rstrip('/'), target.name, relation.identifier | replace('export_', '', 1)] | join('/')) }}
{% endmacro %}

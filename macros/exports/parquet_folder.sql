{% macro parquet_folder(name, to=none) %}
    {% set base = to or env_var('PARQUET_EXPORT', '') or 'exports' %}
    {{ return([base.rstrip('/'), target.name, name] | join('/')) }}
{% endmacro %}

{% macro parquet_export_rows(relation) %}
    {{ return(adapter.dispatch('parquet_export_rows', 'retail_warehouse')(relation)) }}
{% endmacro %}

{% macro duckdb__parquet_export_rows(relation) %}
    {% set files = path_literal(parquet_export_folder(relation), '/*/*.parquet') %}
    {% if execute and run_query('select file from glob(' ~ files ~ ')') | length == 0 %}
        {# A fact without rows has no files, which `read_parquet` would refuse. #}
        {{ return('(select * from ' ~ relation ~ ' limit 0) as no_files') }}
    {% endif %}
    {{ return('read_parquet(' ~ files ~ ', hive_partitioning = true)') }}
{% endmacro %}

{# Redshift reads files through an external schema of the account's own; here it reads what was unloaded. #}
{% macro redshift__parquet_export_rows(relation) %}
    {{ return(relation) }}
{% endmacro %}

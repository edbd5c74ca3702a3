{% macro parquet_rows(relation, date_column) %}
    {{ return(adapter.dispatch('parquet_rows', 'retail_warehouse')(relation, date_column)) }}
{% endmacro %}

{% macro duckdb__parquet_rows(relation, date_column) %}
    {{ return(parquet_files(parquet_folder(relation.identifier), date_column, with_month(relation, date_column))) }}
{% endmacro %}

{# Redshift reads files through an external schema of the account's own; here it reads the table. #}
{% macro redshift__parquet_rows(relation, date_column) %}
    {{ return('(' ~ with_month(relation, date_column) ~ ') as of_table') }}
{% endmacro %}

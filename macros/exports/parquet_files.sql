{% macro parquet_files(folder, date_column, no_rows) %}
    {% set files = path_literal(folder, '/*/*.parquet' if date_column else '/*.parquet') %}
    {% if execute and run_query('select file from glob(' ~ files ~ ')') | length == 0 %}
        {# A table without rows has no files by month, which `read_parquet` would refuse. #}
        {{ return('(' ~ no_rows ~ ' limit 0) as no_files') }}
    {% endif %}
    {{ return('read_parquet(' ~ files ~ ', hive_partitioning = ' ~ ('true' if date_column else 'false') ~ ')') }}
{% endmacro %}

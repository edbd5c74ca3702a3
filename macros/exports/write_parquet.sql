{# Both end with the number of rows, after the files were found to hold the rows of the table. #}

{# https://duckdb.org/docs/stable/data/partitioning/partitioned_writes #}
{% macro duckdb__write_parquet(relation, folder, date_column) %}
    {% set rows_of_table = with_month(relation, date_column) %}
    {% set partitions = ', partition_by (' ~ month_column(date_column) ~ ')' if date_column else '' %}
    {# DuckDB renames and empties no remote folder: there, the files that are written replace those of the same name. #}
    {% set is_remote = '://' in folder %}
    {% set written = folder if is_remote else parquet_folder_step('begin_parquet_folder', folder) %}
    {% set files = written if date_column else written ~ '/data_0.parquet' %}
    {% do run_query(
        'copy (' ~ rows_of_table ~ ") to '" ~ files | replace("'", "''") ~ "' (format parquet" ~ partitions
        ~ (', overwrite_or_ignore' if is_remote and date_column else '') ~ ')'
    ) %}
    {% set columns = run_query('select * from (' ~ rows_of_table ~ ') as named limit 0').column_names %}
    {% set sum_up %}
        select count(*) as row_count, coalesce(sum(hash(
            {%- for column in columns %}{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor -%}
        )), 0) as checksum
    {% endset %}
    {% set expected = run_query(sum_up ~ ' from (' ~ rows_of_table ~ ')').rows[0] %}
    {% if not is_remote %}
        {% set found = run_query(sum_up ~ ' from ' ~ parquet_files(written, date_column, rows_of_table)).rows[0] %}
        {% if found | list != expected | list %}
            {% do exceptions.raise_compiler_error(
                'export_parquet: the files of ' ~ relation.identifier ~ ' in ' ~ written ~ ' do not hold the rows of the '
                ~ 'table (' ~ found[0] ~ ' rows, ' ~ expected[0] ~ ' in the table). The files of the last export stand as they were.'
            ) %}
        {% endif %}
        {% do parquet_folder_step('end_parquet_folder', folder) %}
    {% endif %}
    {{ return(expected[0] | int) }}
{% endmacro %}

{% macro redshift__write_parquet(relation, folder, date_column) %}
    {% set rows_of_table = with_month(relation, date_column) %}
    {% set rows = run_query('select count(*) from ' ~ relation).rows[0][0] | int %}
    {% do run_query(unload_statement(
        rows_of_table, folder, iam_role_literal(), month_column(date_column) if date_column else none
    )) %}
    {# https://docs.aws.amazon.com/redshift/latest/dg/PG_LAST_UNLOAD_COUNT.html #}
    {% set unloaded = run_query('select pg_last_unload_count()').rows[0][0] | int %}
    {% if unloaded != rows %}
        {% do exceptions.raise_compiler_error(
            'export_parquet: ' ~ unloaded ~ ' rows of ' ~ relation.identifier ~ ' were unloaded, and the table had ' ~ rows
            ~ ' before. If a build ran at the same time, export again after it.'
        ) %}
    {% endif %}
    {{ return(rows) }}
{% endmacro %}

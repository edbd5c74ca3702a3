{% macro write_parquet_export(relation, partition_column) %}
    {# A build with `--empty` would replace the real export by an empty one. #}
    {% if execute and not flags.EMPTY %}
        {{ adapter.dispatch('write_parquet_export', 'retail_warehouse')(relation, partition_column) }}
    {% endif %}
{% endmacro %}

{# https://duckdb.org/docs/stable/data/partitioning/partitioned_writes #}
{% macro duckdb__write_parquet_export(relation, partition_column) %}
    {% set folder = parquet_export_folder(relation) | replace("'", "''") %}
    {% if '://' in folder %}
        {# DuckDB empties no remote folder: the files of a month are replaced there, but none is removed. #}
        {% set replace_files = 'overwrite_or_ignore' %}
    {% else %}
        {% set replace_files = 'overwrite' %}
        {# DuckDB makes the last folder of a path only; writing no rows makes those above. #}
        {% set levels = folder.split('/') %}
        {% for depth in range(1, levels | length) if levels[:depth] | join('/') %}
            copy (select 1 as one, 1 as two limit 0) to '{{ levels[:depth] | join('/') }}'
            (format parquet, partition_by (one), overwrite_or_ignore);
        {% endfor %}
    {% endif %}
    copy {{ relation }} to '{{ folder }}'
    (format parquet, partition_by ({{ partition_column }}), {{ replace_files }})
{% endmacro %}

{# https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html #}
{% macro redshift__write_parquet_export(relation, partition_column) %}
    {% set folder = parquet_export_folder(relation) %}
    {% if not folder.startswith('s3://') %}
        {% do exceptions.raise_compiler_error(
            "Redshift unloads to S3 only: set PARQUET_EXPORT to a prefix such as s3://bucket/exports (now: " ~ folder
            ~ ")."
        ) %}
    {% endif %}
    unload ('select * from {{ relation }}')
    to '{{ folder | replace("'", "''") }}/'
    iam_role {{ iam_role_literal() }}
    format as parquet
    partition by ({{ partition_column }})
    cleanpath
{% endmacro %}

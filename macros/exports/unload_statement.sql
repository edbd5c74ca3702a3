{# https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html #}
{% macro unload_statement(query, folder, iam_role, partition_column=none) %}
    {% if not modules.re.fullmatch('s3://[^/]+(/.+)?', folder) %}
        {% do exceptions.raise_compiler_error(
            'Redshift unloads to S3 only: name a prefix such as s3://bucket/exports (now: ' ~ folder ~ ').'
        ) %}
    {% endif %}
    {% set lines = [
        "unload ('" ~ query | replace("'", "''") ~ "')",
        "to '" ~ folder | replace("'", "''") ~ "/'",
        'iam_role ' ~ iam_role,
        'format as parquet',
        'partition by (' ~ partition_column ~ ')' if partition_column else '',
        'cleanpath',
    ] %}
    {{ return(lines | select | join('\n')) }}
{% endmacro %}

{% macro load_raw(source, location, iam_role=none, dry_run=false, tables=none) %}
    {% if execute %}
        {% set statements = adapter.dispatch('load_raw', 'retail_warehouse')(
            raw_tables_of(source, tables), (location | string).rstrip('/'), iam_role_literal(iam_role)
        ) %}
        {% do run_statements(statements, dry_run) %}
    {% endif %}
{% endmacro %}

{% macro default__load_raw(tables, location, iam_role) %}
    {% do exceptions.raise_compiler_error(
        'load_raw loads Amazon Redshift: add --target prod. On ' ~ target.type ~ ' the raw files are read where they are.'
    ) %}
{% endmacro %}

{# One transaction: whoever reads meanwhile, and whoever comes after a failure, sees the rows of before. `delete`, since
   `truncate` would commit. https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
   Columns are matched by position. https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html #}
{% macro redshift__load_raw(tables, location, iam_role) %}
    {% if target.name == 'redshift_dev' %}
        {% do exceptions.raise_compiler_error('The raw tables are shared with production: load them with --target prod.') %}
    {% endif %}
    {% if not modules.re.fullmatch('s3://[^/]+(/.+)?', location) %}
        {% do exceptions.raise_compiler_error(
            'Redshift loads from S3 only: location must be a prefix such as s3://bucket/redshift_load/instacart (now: ' ~ location
            ~ ').'
        ) %}
    {% endif %}
    {% set statements = ['begin', 'create schema if not exists ' ~ adapter.quote(tables[0].schema)] %}
    {% for table in tables %}
        {% set columns = [] %}
        {% for column in table.columns.values() %}
            {% do columns.append(
                '    ' ~ column.name ~ ' ' ~ (column.data_type or 'varchar(' ~ 4 * kept_characters() ~ ')')
            ) %}
        {% endfor %}
        {% do statements.append(
            'create table if not exists ' ~ table.relation_name ~ ' (\n' ~ columns | join(',\n') ~ '\n)'
        ) %}
    {% endfor %}
    {% for table in tables %}
        {% do statements.append('delete from ' ~ table.relation_name) %}
        {% do statements.append(
            'copy ' ~ table.relation_name ~ "\nfrom '" ~ (location ~ '/' ~ table.name) | replace("'", "''")
            ~ ".parquet'\niam_role " ~ iam_role ~ '\nformat as parquet'
        ) %}
    {% endfor %}
    {{ return(statements + ['commit']) }}
{% endmacro %}

{% macro create_processed_files() %}
    {% if execute and flags.WHICH in ['build', 'run', 'test', 'run-operation'] %}
        {% set ledger = processed_files() %}
        {% do run_query('create schema if not exists ' ~ ledger.without_identifier()) %}
        {% set statement %}
            create table if not exists {{ ledger }} (
                model_name varchar(100) not null,
                source_name varchar(100) not null,
                table_name varchar(100) not null,
                file_name varchar(1000) not null,
                fingerprint varchar(2000) not null,
                encoding varchar(10) not null,
                processed_at timestamp not null,
                tested_at timestamp,
                content varchar(100)
            )
        {% endset %}
        {% do run_query(statement) %}
        {# That of an earlier version. #}
        {% if 'content' not in run_query('select * from ' ~ ledger ~ ' limit 0').column_names %}
            {% do run_query('alter table ' ~ ledger ~ ' add column content varchar(100)') %}
        {% endif %}
    {% endif %}
{% endmacro %}

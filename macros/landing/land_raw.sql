{# The folder is made by `retail-warehouse land`, since DuckDB makes none. #}
{% macro land_raw(source_name, folder) %}
    {% if execute %}
        {% set tables = raw_tables_of(source_name) %}
        {% do create_processed_files() %}
        {% do renew_raw_views({source_name: tables}) %}
        {% for table in tables %}
            {% set columns = [] %}
            {% for column in table.columns.values() %}
                {% do columns.append(
                    column.name if column.data_type
                    else 'left(' ~ column.name ~ ', ' ~ landed_characters() ~ ') as ' ~ column.name
                ) %}
            {% endfor %}
            {% set file = folder ~ '/' ~ table.name ~ '.parquet' %}
            {% set rows = run_query(
                'copy (select ' ~ columns | join(', ') ~ ' from ' ~ table.relation_name ~ ") to '"
                ~ file | replace("'", "''") ~ "' (format parquet, compression zstd)"
            ).columns[0].values()[0] %}
            {% do print('{:>12,} rows in '.format(rows) ~ file) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# The folder is made by `retail-warehouse land`, since DuckDB makes none. #}
{% macro write_raw_parquet(source_name, folder, tables=none) %}
    {% if execute %}
        {% set chosen = raw_tables_of(source_name, tables) %}
        {% do open_raw_views(source_name) %}
        {% for table in chosen %}
            {# Without the blanks that staging trims: they would count in the length of a text. #}
            {% set columns = [] %}
            {% for column in table.columns.values() %}
                {% do columns.append(
                    displayed_record() ~ ' as raw_record' if column.name == 'raw_record'
                    else column.name if column.data_type
                    else "left(trim(" ~ column.name ~ ", ' '), " ~ kept_characters() ~ ') as ' ~ column.name
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

{% macro prepare_raw_tables() %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% do adapter.dispatch('prepare_raw_tables', 'retail_warehouse')() %}
    {% endif %}
{% endmacro %}

{# Elsewhere (Redshift) the raw tables are loaded before the build. #}
{% macro default__prepare_raw_tables() %}{% endmacro %}

{% macro duckdb__prepare_raw_tables() %}
    {% set problems = [] %}
    {% set statements = [] %}
    {% for source_name, wanted in selected_raw_tables().items() %}
        {% set folder = data_folder(wanted[0].source_meta) %}
        {% set schema = api.Relation.create(schema=wanted[0].schema).include(database=false, identifier=false) %}
        {% do statements.append('create schema if not exists ' ~ schema) %}
        {% set files = raw_files(folder) %}
        {% set found = [] %}
        {% if not files %}
            {% do problems.append('the folder is missing or empty') %}
        {% endif %}
        {% for table in wanted if files and table.meta.header is defined %}
            {% set names = [table.name ~ '.csv', table.name ~ '.csv.gz'] | select('in', files) | list %}
            {% if names | length == 0 %}
                {% do problems.append('file ' ~ table.name ~ '.csv (or ' ~ table.name ~ '.csv.gz) is missing') %}
            {% elif names | length == 2 %}
                {% do problems.append('both ' ~ names | join(' and ') ~ ' are there; keep one') %}
            {% else %}
                {% set file = {'table': table, 'name': names[0], 'path': folder ~ '/' ~ names[0]} %}
                {% set header = file_header(file.path) %}
                {% do problems.extend(header_problems(file.name, header, table.meta.header)) %}
                {% do file.update(header=header) %}
                {% do found.append(file) %}
            {% endif %}
        {% endfor %}
        {% if problems %}
            {% do exceptions.raise_compiler_error(
                'The raw files of ' ~ source_name ~ ' in the folder "' ~ folder ~ '" cannot be read:\n'
                ~ '  - ' ~ problems | join('\n  - ') ~ '\n'
                ~ 'Nothing was changed. Correct the files, or set ' ~ wanted[0].source_meta.folder_variable
                ~ ' to a folder with the official files (unset, the bundled sample is used).'
            ) %}
        {% endif %}
        {% for file in found %}
            {% set encoding = file_encoding(file.path) if file.table.meta.has_text else 'utf-8' %}
            {% do statements.append(
                'create or replace view ' ~ schema ~ '.' ~ file.table.identifier ~ ' as '
                ~ raw_file_query(file.path, file.name, encoding, file.header, file.table.meta.header)
            ) %}
        {% endfor %}
        {% for table in wanted if table.meta.lists_files %}
            {% do statements.append(
                'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as '
                ~ raw_file_list_query(found)
            ) %}
        {% endfor %}
    {% endfor %}
    {# Only after every file of every selected source has passed is anything replaced. #}
    {% for statement in statements %}
        {% do run_query(statement) %}
    {% endfor %}
{% endmacro %}

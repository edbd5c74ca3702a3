{% macro renew_raw_views(tables) %}
    {% set problems = [] %}
    {% set statements = [] %}
    {% for source_name, wanted in tables.items() %}
        {% set source_meta = wanted[0].source_meta %}
        {% set folder = data_folder(source_meta) %}
        {% set lists_files = graph.sources['source.retail_warehouse.' ~ source_name ~ '.data_files'] %}
        {% set schema = api.Relation.create(schema=wanted[0].schema).include(database=false, identifier=false) %}
        {% do statements.append('create schema if not exists ' ~ schema) %}
        {% set fingerprints = raw_files(folder) %}
        {% set source_problems = [] if fingerprints else ['the folder is missing or holds no CSV file (*.csv, *.csv.gz)'] %}
        {% set found = [] %}
        {% for table in graph.sources.values() | sort(attribute='unique_id')
            if fingerprints and table.source_name == source_name and table.meta.header is defined %}
            {% if table.meta.landing_variable is defined %}
                {% set is_streamed = env_var(table.meta.landing_variable, '') != '' %}
                {% set landing = data_folder({'folder_variable': table.meta.landing_variable}) if is_streamed else '' %}
                {% set landed = raw_files(landing, '[.]ndjson', is_final=true) if is_streamed else {} %}
                {% set was_landed = known_files(table) | length %}
                {% if was_landed and not landed and not flags.FULL_REFRESH %}
                    {% do source_problems.append(
                        'none of the ' ~ was_landed ~ ' files of streamed rows that the warehouse was built from is there: '
                        ~ table.meta.landing_variable ~ (' names "' ~ landing ~ '"' if is_streamed else ' is not set')
                        ~ '. Set it to where they are; only with --full-refresh is the warehouse built without them'
                    ) %}
                {% endif %}
                {% for name, fingerprint in landed.items() %}
                    {% do found.append({
                        'table': table, 'name': name, 'encoding': 'utf-8',
                        'fingerprint': fingerprint ~ fingerprint_of_settings(source_meta),
                    }) %}
                {% endfor %}
                {% do statements.append(
                    'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as '
                    ~ streamed_lines_query(table, landed_events(landing, landed.keys() | list))
                ) %}
            {% elif table in wanted or lists_files in wanted %}
                {% set look = raw_table_files(table, folder, fingerprints, source_meta) %}
                {% do source_problems.extend(look.problems) %}
                {% do found.extend(look.files) %}
                {% do statements.append(
                    'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as '
                    ~ raw_table_query(look.files, table.meta.header)
                ) %}
            {% else %}
                {# Listed, but not looked into. #}
                {% for names in files_by_stem(table, fingerprints).values() %}
                    {% do found.append({
                        'table': table, 'name': names[0],
                        'fingerprint': fingerprints[names[0]] ~ fingerprint_of_settings(source_meta),
                    }) %}
                {% endfor %}
            {% endif %}
        {% endfor %}
        {% do statements.append(
            'create or replace view ' ~ schema ~ '.' ~ lists_files.identifier ~ ' as ' ~ raw_file_list_query(found)
        ) %}
        {% if source_problems %}
            {% do problems.append(
                'The raw files of ' ~ source_name ~ ' in the folder "' ~ folder ~ '" cannot be read:\n'
                ~ '  - ' ~ source_problems | join('\n  - ') ~ '\n'
                ~ 'Nothing was changed. Correct the files, or set ' ~ source_meta.folder_variable
                ~ ' to a folder with the official files (unset, the bundled sample is used).'
            ) %}
        {% endif %}
    {% endfor %}
    {% if problems %}
        {% do exceptions.raise_compiler_error(problems | join('\n')) %}
    {% endif %}
    {# Only after every file of every selected source has passed is anything replaced. #}
    {% for statement in statements %}
        {% do run_query(statement) %}
    {% endfor %}
{% endmacro %}

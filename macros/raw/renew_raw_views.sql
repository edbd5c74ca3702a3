{% macro renew_raw_views(tables) %}
    {% set problems = [] %}
    {% set statements = [] %}
    {% for source_name, wanted in tables.items() %}
        {% set source_meta = wanted[0].source_meta %}
        {% set folder = data_folder(source_meta) %}
        {% set lists_files = graph.sources['source.retail_warehouse.' ~ source_name ~ '.data_files'] %}
        {% set schema = api.Relation.create(schema=wanted[0].schema).include(database=false, identifier=false) %}
        {% do statements.append('create schema if not exists ' ~ schema) %}
        {% set tables_of_source = graph.sources.values() | selectattr('source_name', 'equalto', source_name)
            | selectattr('meta.header', 'defined') | sort(attribute='unique_id') | list %}
        {% set any_file_name = tables_of_source | selectattr('meta.any_file_name', 'defined') | list | length > 0 %}
        {% set listing = raw_files(
            folder,
            tables=none if any_file_name else tables_of_source | map(attribute='name') | list,
            depth=0 if any_file_name else 100
        ) %}
        {% set fingerprints = listing.files %}
        {% set source_problems = listing.problems %}
        {# Thousands of files are looked through once, not once for each table. #}
        {% set names_by_table = {} %}
        {% for name in fingerprints if not any_file_name %}
            {% do names_by_table.setdefault(name.split('/')[0].split('.')[0].lower(), []).append(name) %}
        {% endfor %}
        {% set settings = fingerprint_of_settings(source_meta) %}
        {% if not fingerprints and not source_problems %}
            {% do source_problems.append('the folder is missing or has no CSV file (*.csv, *.csv.gz)') %}
        {% endif %}
        {% for note in listing.notes %}
            {% do log('In the folder "' ~ folder ~ '" ' ~ note ~ '.', info=true) %}
        {% endfor %}
        {% set found = [] %}
        {% for table in tables_of_source if fingerprints %}
            {% set names = fingerprints if any_file_name else names_by_table.get(table.name, []) %}
            {% if table.meta.landing_variable is defined %}
                {% set is_streamed = env_var(table.meta.landing_variable, '') != '' %}
                {% set landing = data_folder({'folder_variable': table.meta.landing_variable}) if is_streamed else '' %}
                {% set processed = known_files(table) | list %}
                {% set found_there = landed_files(landing, processed) if is_streamed else {'files': {}, 'problems': []} %}
                {% set landed = found_there.files %}
                {% for problem in found_there.problems %}
                    {% do source_problems.append(table.meta.landing_variable ~ ' "' ~ landing ~ '": ' ~ problem) %}
                {% endfor %}
                {% set was_landed = processed | length %}
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
                        'fingerprint': fingerprint ~ settings,
                    }) %}
                {% endfor %}
                {% do statements.append(
                    'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as '
                    ~ streamed_lines_query(table, landed_events(landing, landed.keys() | list))
                ) %}
            {% elif table in wanted or lists_files in wanted %}
                {% set look = raw_table_files(table, folder, names, fingerprints, source_meta) %}
                {% do source_problems.extend(look.problems) %}
                {% do found.extend(look.files) %}
                {% do statements.append(
                    'create or replace view ' ~ schema ~ '.' ~ table.identifier ~ ' as '
                    ~ raw_table_query(look.files, table.meta.header)
                ) %}
            {% else %}
                {# Listed, but not looked into. #}
                {% for alike in files_by_stem(table, names).values() %}
                    {% do found.append({
                        'table': table, 'name': alike[0],
                        'fingerprint': fingerprints[alike[0]] ~ settings,
                    }) %}
                {% endfor %}
            {% endif %}
        {% endfor %}
        {# A table, since the list may be long and is asked for by every model. #}
        {% set listed = schema ~ '.listed_files' %}
        {% do statements.append('create or replace table ' ~ listed ~ ' as ' ~ raw_file_list_query(found)) %}
        {% do statements.append(
            'create or replace view ' ~ schema ~ '.' ~ lists_files.identifier ~ ' as select * from ' ~ listed
        ) %}
        {% if source_problems %}
            {% do problems.append(
                'The raw files of ' ~ source_name ~ ' in the folder "' ~ folder ~ '" cannot be read:\n'
                ~ '  - ' ~ source_problems | join('\n  - ') ~ '\n'
                ~ 'Nothing was changed. Correct the files, or set ' ~ source_meta.folder_variable
                ~ ' to a folder with the official files (unset, the bundled sample is used), which retail-warehouse fetch '
                ~ source_name | replace('_', '-') ~ ' --help tells how to get.'
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

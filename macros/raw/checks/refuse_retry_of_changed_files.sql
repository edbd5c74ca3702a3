{% macro refuse_retry_of_changed_files() %}
    {% set changed = [] %}
    {% for table in graph.sources.values() | selectattr('meta.header', 'defined') | sort(attribute='unique_id')
        if table.meta.landing_variable is not defined %}
        {% set lists_files = file_list_of(table.source_name) %}
        {% set list = load_relation(api.Relation.create(
            database=lists_files.database, schema=lists_files.schema, identifier=lists_files.identifier
        )) %}
        {% if list %}
            {% set before = {} %}
            {% for row in run_query(
                'select file_name, fingerprint from ' ~ list ~ " where table_name = '" ~ table.name ~ "'"
            ) %}
                {% do before.update({row['file_name']: row['fingerprint']}) %}
            {% endfor %}
            {% set any_file_name = table.meta.any_file_name is defined %}
            {% set listed = raw_files(
                data_folder(table.source_meta),
                tables=none if any_file_name else [table.name],
                depth=0 if any_file_name else 100
            ).files %}
            {% set now = {} %}
            {% for names in files_by_stem(table, listed).values() %}
                {% do now.update({names[0]: listed[names[0]] ~ fingerprint_of_settings(table.source_meta)}) %}
            {% endfor %}
            {% for name in (before | list + now | list) | unique | sort if before.get(name) != now.get(name) %}
                {% do changed.append(
                    name ~ (' is gone' if name not in now else ' is new' if name not in before else ' has changed')
                ) %}
            {% endfor %}
        {% endif %}
    {% endfor %}
    {% if changed %}
        {% do exceptions.raise_compiler_error(
            'dbt retry does not read raw files again, and they are others than before: ' ~ changed[:10] | join(', ')
            ~ (' and more' if changed | length > 10) ~ '. Nothing was changed. Run dbt build (or what you ran before) '
            ~ 'instead: it reads what is new, and builds what depends on it and what failed.'
        ) %}
    {% endif %}
{% endmacro %}

{% macro raw_table_files(table, folder, fingerprints, source_meta) %}
    {% set files = [] %}
    {% set problems = [] %}
    {% set known = known_files(table) %}
    {% set stems = files_by_stem(table, fingerprints) %}
    {% if not stems and not table.meta.any_file_name %}
        {% do problems.append(
            'file ' ~ table.name ~ '.csv (or ' ~ table.name ~ '.csv.gz, or CSV files in a folder ' ~ table.name ~ ') is missing'
        ) %}
    {% endif %}
    {% for names in stems.values() %}
        {% if names | length > 1 %}
            {% do problems.append('both ' ~ names | join(' and ') ~ ' are there; keep one') %}
        {% else %}
            {% set path = folder ~ '/' ~ names[0] %}
            {% set fingerprint = fingerprints[names[0]] ~ fingerprint_of_settings(source_meta) %}
            {% set is_known = known.get(names[0], {}).fingerprint == fingerprint %}
            {% set detected = known[names[0]].encoding if is_known else file_encoding(path) %}
            {% set declared = env_var(source_meta.encoding_variable, '') if source_meta.encoding_variable else '' %}
            {# A declared encoding that the bytes allow makes no difference. #}
            {% set encoding = 'latin-1' if detected == 'latin-1' else 'utf-8' %}
            {% set header = file_header(path, encoding) %}
            {% set wrong = encoding_problems(names[0], detected, declared, source_meta.encoding_variable)
                + header_problems(names[0], header, table.meta.header) %}
            {% if not is_known %}
                {% do wrong.extend(line_end_problems(path, names[0], encoding)) %}
            {% endif %}
            {% if detected == 'latin-1' and declared != 'latin-1' and not wrong %}
                {% do log('File ' ~ names[0] ~ ' is not valid UTF-8 and is read as Latin-1.', info=true) %}
            {% endif %}
            {% do problems.extend(wrong) %}
            {% do files.append({
                'table': table, 'name': names[0], 'path': path, 'header': header, 'encoding': detected,
                'fingerprint': fingerprint,
            }) %}
        {% endif %}
    {% endfor %}
    {{ return({'files': files if not problems else [], 'problems': problems}) }}
{% endmacro %}

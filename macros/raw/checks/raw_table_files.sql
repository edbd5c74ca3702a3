{% macro raw_table_files(table, folder, names, fingerprints, source_meta) %}
    {% set files = [] %}
    {% set problems = [] %}
    {% set known = known_files(table) %}
    {% set stems = files_by_stem(table, names) %}
    {% set declared = env_var(source_meta.encoding_variable, '') if source_meta.encoding_variable else '' %}
    {% if not stems and not table.meta.any_file_name %}
        {% do problems.append(
            'file ' ~ table.name ~ '.csv (or ' ~ table.name ~ '.csv.gz, or CSV files in a folder ' ~ table.name ~ ') is missing'
        ) %}
    {% endif %}
    {% set asked = [] %}
    {% set settings = fingerprint_of_settings(source_meta) %}
    {% for names in stems.values() %}
        {% if names | length > 1 %}
            {% do problems.append(
                'both ' ~ names | join(' and ') ~ " are there; keep one, such as the first: rm '" ~ folder ~ '/' ~ names[1] ~ "'"
            ) %}
        {% else %}
            {% set fingerprint = fingerprints[names[0]] ~ settings %}
            {% set is_known = known.get(names[0], {}).fingerprint == fingerprint %}
            {% do files.append({'table': table, 'name': names[0], 'fingerprint': fingerprint}) %}
            {% do asked.append({
                'path': folder ~ '/' ~ names[0],
                'encoding': known[names[0]].encoding if is_known else '',
                'declared': declared,
            }) %}
        {% endif %}
    {% endfor %}
    {% set told = {} %}
    {# Thousands of files have few headers. #}
    {% set right = [] %}
    {% for file, look in zip(files, looked_at_files(asked) if asked else []) %}
        {% if look.problem %}
            {% do problems.append('file ' ~ file.name ~ ' ' ~ look.problem) %}
        {% else %}
            {% set wrong = encoding_problems(file.name, look.encoding, declared, source_meta.encoding_variable) if declared else [] %}
            {% if look.header not in right %}
                {% set wrong_header = header_problems(
                    file.name, folder ~ '/' ~ file.name, look.header, table.meta.header, look.encoding
                ) %}
                {% do (wrong if wrong_header else right).extend(wrong_header or [look.header]) %}
            {% endif %}
            {% if look.told and declared not in ['latin-1', 'windows-1252'] and not wrong %}
                {% do told.setdefault(look.told, []).append(file.name) %}
            {% endif %}
            {% do problems.extend(wrong) %}
            {% do file.update({
                'path': look.path, 'header': look.header, 'encoding': look.encoding, 'is_small': look.is_small,
            }) %}
        {% endif %}
    {% endfor %}
    {% for what, names in told.items() %}
        {% for name in names[:5] %}
            {% do log('File ' ~ name ~ ' ' ~ what ~ '.', info=true) %}
        {% endfor %}
        {% if names | length > 5 %}
            {% do log('So it is with ' ~ (names | length - 5) ~ ' more files of ' ~ table.name ~ '.', info=true) %}
        {% endif %}
    {% endfor %}
    {{ return({'files': files if not problems else [], 'problems': problems}) }}
{% endmacro %}

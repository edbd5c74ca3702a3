{% macro raw_table_files(table, folder, listing, source_meta) %}
    {% set files = [] %}
    {% set problems = [] %}
    {# The names of each stem: two for data.csv and data.csv.gz, which are the same delivery. #}
    {% set stems = {} if table.meta.any_file_name else {table.name: []} %}
    {% for name in listing %}
        {% set stem = modules.re.sub('[.]csv([.]gz)?$', '', name, flags=modules.re.IGNORECASE) %}
        {% if table.meta.any_file_name %}
            {% do stems.setdefault(stem, []).append(name) %}
        {% elif stem.lower() == table.name %}
            {% do stems[table.name].append(name) %}
        {% endif %}
    {% endfor %}
    {% for stem, names in stems.items() %}
        {% if names | length == 0 %}
            {% do problems.append('file ' ~ stem ~ '.csv (or ' ~ stem ~ '.csv.gz) is missing') %}
        {% elif names | length > 1 %}
            {% do problems.append('both ' ~ names | join(' and ') ~ ' are there; keep one') %}
        {% else %}
            {% set path = folder ~ '/' ~ names[0] %}
            {% set detected = file_encoding(path) %}
            {% set declared = env_var(source_meta.encoding_variable, '') if source_meta.encoding_variable else '' %}
            {% set encoding = 'latin-1' if detected == 'latin-1' or declared == 'latin-1' else 'utf-8' %}
            {% set header = file_header(path, encoding) %}
            {% set wrong = encoding_problems(names[0], detected, declared, source_meta.encoding_variable)
                + header_problems(names[0], header, table.meta.header) + line_end_problems(path, names[0]) %}
            {% if detected == 'latin-1' and declared != 'latin-1' and not wrong %}
                {% do log('File ' ~ names[0] ~ ' is not valid UTF-8 and is read as Latin-1.', info=true) %}
            {% endif %}
            {% do problems.extend(wrong) %}
            {% do files.append(
                {'table': table, 'name': names[0], 'path': path, 'header': header, 'encoding': encoding}
            ) %}
        {% endif %}
    {% endfor %}
    {{ return({'files': files if not problems else [], 'problems': problems}) }}
{% endmacro %}

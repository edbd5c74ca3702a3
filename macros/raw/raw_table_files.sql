{% macro raw_table_files(table, folder, listing, source_meta) %}
    {% set files = [] %}
    {% set problems = [] %}
    {% if table.meta.any_file_name %}
        {% set stems = listing | map('replace', '.csv.gz', '') | map('replace', '.csv', '') | unique | list %}
    {% else %}
        {% set stems = [table.name] %}
    {% endif %}
    {% for stem in stems %}
        {% set names = [stem ~ '.csv', stem ~ '.csv.gz'] | select('in', listing) | list %}
        {% if names | length == 0 %}
            {% do problems.append('file ' ~ stem ~ '.csv (or ' ~ stem ~ '.csv.gz) is missing') %}
        {% elif names | length == 2 %}
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

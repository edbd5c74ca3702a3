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
            {% set header = file_header(path) %}
            {% set wrong = header_problems(names[0], header, table.meta.header) %}
            {% set encoding = 'utf-8' %}
            {% if not wrong and table.meta.has_text %}
                {% set encoding = file_encoding(path) %}
                {% set declared = env_var(source_meta.encoding_variable, '') if source_meta.encoding_variable else '' %}
                {% do wrong.extend(encoding_problems(names[0], encoding, declared, source_meta.encoding_variable)) %}
                {% set encoding = 'latin-1' if encoding == 'latin-1' or declared == 'latin-1' else 'utf-8' %}
            {% endif %}
            {% do problems.extend(wrong) %}
            {% do files.append(
                {'table': table, 'name': names[0], 'path': path, 'header': header, 'encoding': encoding}
            ) %}
        {% endif %}
    {% endfor %}
    {{ return({'files': files if not problems else [], 'problems': problems}) }}
{% endmacro %}

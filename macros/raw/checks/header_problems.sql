{% macro header_problems(file_name, path, header, official, encoding) %}
    {% set official_names = [] %}
    {% for column in official %}
        {% do official_names.append(header_names(column)[0]) %}
    {% endfor %}
    {% if header is none %}
        {{ return(['file ' ~ file_name ~ ' is empty; its first line must be ' ~ official_names | join(',')
            ~ ". Get it again, or remove it: rm '" ~ path ~ "'"]) }}
    {% endif %}
    {% set wrong = {'missing from': [], 'more than once in': []} %}
    {% for column in official %}
        {% set found = header | select('in', header_names(column)) | list %}
        {% if found | length != 1 %}
            {% do wrong['more than once in' if found else 'missing from'].append(header_names(column) | join(' or ')) %}
        {% endif %}
    {% endfor %}
    {% set problems = [] %}
    {% for place, columns in wrong.items() if columns %}
        {% do problems.append(
            'file ' ~ file_name ~ ': column ' ~ columns | join(', ') ~ ' is ' ~ place ~ ' the header "'
            ~ header | join(',') ~ '"; it must be ' ~ official_names | join(',') ~ ', separated by commas'
        ) %}
    {% endfor %}
    {% if problems %}
        {% set spellings = [] %}
        {% for column in official %}
            {% do spellings.append(header_names(column)) %}
        {% endfor %}
        {% set asked = {'path': path, 'header': header, 'columns': spellings, 'encoding': encoding} %}
        {% set mend = run_query("select mend_header('" ~ tojson(asked) | replace("'", "''") ~ "')").columns[0].values()[0] %}
        {% do problems.append(problems.pop() ~ '; ' ~ mend) %}
    {% endif %}
    {{ return(problems) }}
{% endmacro %}

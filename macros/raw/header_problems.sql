{% macro header_problems(file_name, header, official) %}
    {% set official_names = [] %}
    {% for column in official %}
        {% do official_names.append(header_names(column)[0]) %}
    {% endfor %}
    {% if header is none %}
        {{ return(['file ' ~ file_name ~ ' is empty; its first line must be ' ~ official_names | join(',')]) }}
    {% endif %}
    {% set problems = [] %}
    {% for column in official %}
        {% set found = header | select('in', header_names(column)) | list %}
        {% if found | length != 1 %}
            {% do problems.append(
                'file ' ~ file_name ~ ': column ' ~ header_names(column) | join(' or ') ~ ' is '
                ~ ('more than once in' if found else 'missing from')
                ~ ' the header "' ~ header | join(',') ~ '"; it must be ' ~ official_names | join(',')
            ) %}
        {% endif %}
    {% endfor %}
    {{ return(problems) }}
{% endmacro %}

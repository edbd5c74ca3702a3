{% macro header_problems(file_name, header, official) %}
    {% if header is none %}
        {{ return(['file ' ~ file_name ~ ' is empty; its first line must be ' ~ official | join(',')]) }}
    {% endif %}
    {% set problems = [] %}
    {% for column in official if header.count(column) != 1 %}
        {% do problems.append(
            'file ' ~ file_name ~ ': column ' ~ column ~ ' is '
            ~ ('missing from' if column not in header else 'more than once in')
            ~ ' the header "' ~ header | join(',') ~ '"; it must be ' ~ official | join(',')
        ) %}
    {% endfor %}
    {{ return(problems) }}
{% endmacro %}

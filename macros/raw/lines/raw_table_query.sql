{% macro raw_table_query(files, official) %}
    {% set queries = [] %}
    {% set small = {} %}
    {% for file in files %}
        {% if file.is_small %}
            {% do small.setdefault(file.header | join('\x1f'), []).append(file) %}
        {% else %}
            {% do queries.append('(' ~ raw_file_query(file, official) ~ ')') %}
        {% endif %}
    {% endfor %}
    {% for alike in small.values() %}
        {% do queries.append('(' ~ raw_small_files_query(alike, official) ~ ')') %}
    {% endfor %}
    {{ return(queries | join(' union all ')) }}
{% endmacro %}

{% macro raw_table_query(files, official) %}
    {% set queries = [] %}
    {% for file in files %}
        {% do queries.append('(' ~ raw_file_query(file, official) ~ ')') %}
    {% endfor %}
    {{ return(queries | join(' union all ')) }}
{% endmacro %}

{% macro check_reader() %}
    {% do reader_grantees() %}
{% endmacro %}

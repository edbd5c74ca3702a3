{% macro header_names(column) %}
    {{ return([column] if column is string else column['names']) }}
{% endmacro %}

{% macro month_column(date_column) %}
    {{ return(modules.re.sub('_date$', '', date_column) ~ '_month') }}
{% endmacro %}

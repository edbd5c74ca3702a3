{% macro with_month(relation, date_column) %}
    {% if not date_column %}
        {{ return('select * from ' ~ relation) }}
    {% endif %}
    {% set month = "cast(date_trunc('month', " ~ date_column ~ ') as date) as ' ~ month_column(date_column) %}
    {{ return('select *, ' ~ month ~ ' from ' ~ relation) }}
{% endmacro %}

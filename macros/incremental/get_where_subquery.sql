{# dbt hands a placeholder in `where` over to this macro:
   https://docs.getdbt.com/reference/resource-configs/where#custom-logic #}
{% macro get_where_subquery(relation) %}
    {% set where = config.get('where') %}
    {% if not where %}
        {{ return(relation) }}
    {% endif %}
    {% set placeholder = '__untested_rows__' %}
    {# A test that only warns looks at all rows, so it warns until the cause is gone. #}
    {% set untested = untested_keys() if placeholder in where and config.get('severity') | lower != 'warn' else none %}
    {% if untested %}
        {% set condition = '(' ~ lineage_under_test(model).key ~ ' in (' ~ untested ~ '))' %}
    {% elif where | trim == placeholder %}
        {{ return(relation) }}
    {% endif %}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where | replace(placeholder, condition or 'true') ~ ') dbt_subquery') }}
{% endmacro %}

{% macro get_where_subquery(relation) %}
    {% set conditions = [] %}
    {% if config.get('where') %}
        {% do conditions.append(config.get('where')) %}
    {% endif %}
    {# A test that only warns looks at all rows, so it warns until the cause is gone. #}
    {% set untested = untested_keys() if config.get('severity') | lower != 'warn' else none %}
    {% if untested %}
        {% do conditions.append(model_under_test(model).config.meta.ledger.key ~ ' in (' ~ untested ~ ')') %}
    {% endif %}
    {% if conditions %}
        {{ return('(select * from ' ~ relation ~ ' where (' ~ conditions | join(') and (') ~ ')) dbt_subquery') }}
    {% endif %}
    {{ return(relation) }}
{% endmacro %}

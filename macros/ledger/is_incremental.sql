{% macro is_incremental() %}
    {# In a unit test there is no relation to ask for. #}
    {% if not execute or model.config.materialized != 'incremental' %}
        {{ return(false) }}
    {% endif %}
    {{ return(var('assume_incremental') if var('assume_incremental') is not none else dbt.is_incremental()) }}
{% endmacro %}

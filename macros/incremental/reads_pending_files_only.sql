{% macro reads_pending_files_only() %}
    {# In a unit test there is no relation to ask for. #}
    {% if not execute or model.config.materialized != 'incremental' %}
        {{ return(false) }}
    {% endif %}
    {% if var('assume_incremental') is not none %}
        {{ return(var('assume_incremental')) }}
    {% endif %}
    {# What only shows a model shows all of its rows, not those that the next run would add. #}
    {{ return(flags.WHICH not in ['show', 'compile', 'generate'] and is_incremental()) }}
{% endmacro %}

{% macro forget_pending_files() %}
    {{ return(adapter.dispatch('forget_pending_files', 'retail_warehouse')()) }}
{% endmacro %}

{% macro default__forget_pending_files() %}
    {{ return('') }}
{% endmacro %}

{# Of a model before, on the same connection: all files are read. #}
{% macro duckdb__forget_pending_files() %}
    {{ return('reset variable pending_files; ') }}
{% endmacro %}

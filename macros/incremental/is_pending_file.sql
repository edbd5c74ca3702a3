{% macro is_pending_file(column) %}
    {{ return(adapter.dispatch('is_pending_file', 'retail_warehouse')(column)) }}
{% endmacro %}

{% macro default__is_pending_file(column) %}
    {{ return(column ~ ' in (select file_name from (' ~ pending_files(lineage_of(model.unique_id)) ~ ') as pending)') }}
{% endmacro %}

{# The session variable `pending_files`, which the hook `before_processing` sets. It is a constant for the planner, which then
   leaves out the files of a raw view; with a subquery it reads them all.
   https://duckdb.org/docs/stable/sql/statements/set_variable #}
{% macro duckdb__is_pending_file(column) %}
    {{ return("list_contains(getvariable('pending_files'), " ~ column ~ ")") }}
{% endmacro %}

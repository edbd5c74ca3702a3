{% macro clean_text(column, unless=none) -%}
    {% set cleaned = adapter.dispatch('clean_text', 'retail_warehouse')(column) %}
    {{ return('case when ' ~ unless ~ ' then ' ~ column ~ ' else ' ~ cleaned ~ ' end' if unless else cleaned) }}
{%- endmacro %}

{# https://docs.aws.amazon.com/redshift/latest/dg/r_BTRIM.html #}
{% macro default__clean_text(column) -%}
    nullif(btrim({{ column }}, ' '), '')
{%- endmacro %}

{# Without its second argument DuckDB trims no-break and other spaces too, which names may hold.
   https://duckdb.org/docs/stable/sql/functions/text#trimstring-characters #}
{% macro duckdb__clean_text(column) -%}
    nullif(trim({{ column }}, ' '), '')
{%- endmacro %}

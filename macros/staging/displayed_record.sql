{# What was loaded into Redshift is cut already. #}
{% macro displayed_record() -%}
    {{ return(adapter.dispatch('displayed_record', 'retail_warehouse')()) }}
{%- endmacro %}

{% macro default__displayed_record() -%}
    left(raw_record, 1000)
{%- endmacro %}

{# With bytes that could not be read as `\xE9`; see `split_lines_query`. #}
{% macro duckdb__displayed_record() -%}
    left(replace(raw_record, chr(65534), '\x'), 1000)
{%- endmacro %}

{% macro row_hash(columns) -%}
    {{ return(adapter.dispatch('row_hash', 'retail_warehouse')(columns)) }}
{%- endmacro %}

{# Sixty bits of the text of the row, as whole numbers that any number of rows can be summed up of.
   https://docs.aws.amazon.com/redshift/latest/dg/r_STRTOL.html #}
{% macro default__row_hash(columns) -%}
    {% set parts = [] %}
    {% for column in columns %}
        {% do parts.append("coalesce(cast(" ~ column ~ " as varchar(4000)), '')") %}
    {% endfor %}
    cast(strtol(left(md5({{ parts | join(" || '|' || ") }}), 15), 16) as numeric(38, 0))
{%- endmacro %}

{# Without making a text of each row, which takes ten times as long. https://duckdb.org/docs/stable/sql/functions/utility #}
{% macro duckdb__row_hash(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}

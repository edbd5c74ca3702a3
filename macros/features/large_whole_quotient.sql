{% macro large_whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('large_whole_quotient', 'retail_warehouse')(dividend, divisor)) }}
{%- endmacro %}

{# Without a remainder, so that no digit is rounded: a quotient of numerics of 38 digits has four after its point.
   https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html #}
{% macro default__large_whole_quotient(dividend, divisor) -%}
    {% set dividend = 'cast(' ~ dividend ~ ' as numeric(38, 0))' -%}
    {% set divisor = 'cast(' ~ divisor ~ ' as numeric(38, 0))' -%}
    ({{ dividend }} - mod({{ dividend }}, {{ divisor }})) / {{ divisor }}
{%- endmacro %}

{# https://duckdb.org/docs/stable/sql/data_types/numeric #}
{% macro duckdb__large_whole_quotient(dividend, divisor) -%}
    cast({{ dividend }} as hugeint) // cast({{ divisor }} as hugeint)
{%- endmacro %}

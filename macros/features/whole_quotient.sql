{# Cast, since sums are decimals on Redshift and hugeints on DuckDB. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('whole_quotient', 'retail_warehouse')(
        'cast(' ~ dividend ~ ' as bigint)', 'cast(' ~ divisor ~ ' as bigint)'
    )) }}
{%- endmacro %}

{# https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html #}
{% macro default__whole_quotient(dividend, divisor) -%}
    {{ return(dividend ~ ' / ' ~ divisor) }}
{%- endmacro %}

{# `/` depends on a setting of the session, which whoever reads a view may not have.
   https://duckdb.org/docs/stable/sql/functions/numeric #}
{% macro duckdb__whole_quotient(dividend, divisor) -%}
    {{ return(dividend ~ ' // ' ~ divisor) }}
{%- endmacro %}

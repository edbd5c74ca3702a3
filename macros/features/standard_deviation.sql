{# From sums of whole numbers, so that the order of the rows does not matter. #}
{% macro standard_deviation(values_count, values_sum, squares_sum) -%}
    sqrt(
        cast(
            cast({{ values_count }} as bigint) * cast({{ squares_sum }} as bigint)
            - cast({{ values_sum }} as bigint) * cast({{ values_sum }} as bigint)
            as double precision
        )
    ) / nullif({{ values_count }}, 0)
{%- endmacro %}

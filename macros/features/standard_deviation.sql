{# From sums of whole numbers, so that the order of the rows does not matter. The square of the sum is no larger than the
   product of the other two; where that may be beyond a bigint, 38 digits are used. #}
{% macro standard_deviation(values_count, values_sum, squares_sum) -%}
    sqrt(
        case
            when cast({{ values_count }} as double precision) * {{ squares_sum }} < 9000000000000000000
            {%- for type in ['bigint', 'numeric(38, 0)'] %}
            {{ 'then' if loop.first else 'else' }} cast(
                cast({{ values_count }} as {{ type }}) * cast({{ squares_sum }} as {{ type }})
                - cast({{ values_sum }} as {{ type }}) * cast({{ values_sum }} as {{ type }})
                as double precision
            )
            {%- endfor %}
        end
    ) / nullif({{ values_count }}, 0)
{%- endmacro %}

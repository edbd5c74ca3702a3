{# From all accepted lines, not from sales alone: a day on which only stock was adjusted is covered. #}
{% macro months_of_data() -%}
    select
        dim_dates.month_start_date as sales_month,
        -- The calendar covers whole years, so it has every day of a month.
        min(dim_dates.date_day) >= covered.first_date and max(dim_dates.date_day) <= covered.last_date
            as is_complete_month
    from {{ ref('dim_dates') }} as dim_dates
    cross join (
        select
            cast(min(invoiced_at) as date) as first_date,
            cast(max(invoiced_at) as date) as last_date
        from {{ ref('invoice_lines') }}
    ) as covered
    group by dim_dates.month_start_date, covered.first_date, covered.last_date
    having max(dim_dates.date_day) >= covered.first_date and min(dim_dates.date_day) <= covered.last_date
{%- endmacro %}

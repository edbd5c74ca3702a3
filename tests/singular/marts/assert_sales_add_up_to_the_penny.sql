-- The sales are the same, exactly, whether added by line, by day and country, by month, by customer or by transaction;
-- so are the cancellations, and net is gross plus cancellations.
with totals as (

    select
        'sales by day' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (select coalesce(sum(gross_amount), 0) from {{ ref('fct_daily_sales') }}) as actual
    union all
    select
        'sales by month' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (
            select coalesce(sum(months.gross_amount), 0)
            from (
                select
                    dim_dates.month_start_date,
                    sum(fct_daily_sales.gross_amount) as gross_amount
                from {{ ref('fct_daily_sales') }} as fct_daily_sales
                inner join {{ ref('dim_dates') }} as dim_dates
                    on fct_daily_sales.invoice_date = dim_dates.date_day
                group by dim_dates.month_start_date
            ) as months
        ) as actual
    union all
    select
        'sales by customer' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (select coalesce(sum(sale_amount), 0) from {{ ref('customers') }}) as actual
    union all
    select
        'sales by transaction' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (select coalesce(sum(sale_amount), 0) from {{ ref('transactions') }}) as actual
    union all
    select
        'cancellations by day' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_cancellations') }}) as expected,
        (select coalesce(sum(cancellation_amount), 0) from {{ ref('fct_daily_sales') }}) as actual
    union all
    select
        'net by day' as total,
        (select coalesce(sum(gross_amount + cancellation_amount), 0) from {{ ref('fct_daily_sales') }}) as expected,
        (select coalesce(sum(net_amount), 0) from {{ ref('fct_daily_sales') }}) as actual
    union all
    select
        'all lines by invoice' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('invoice_lines') }}) as expected,
        (select coalesce(sum(amount), 0) from {{ ref('invoices') }}) as actual

)

select * from totals
where actual <> expected

-- Reports of Online Retail add up to the facts that they are built from, however they are grouped.
with totals as (

    select
        'sales by month' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (select coalesce(sum(gross_amount), 0) from {{ ref('rpt_monthly_sales') }}) as actual
    union all
    select
        'cancellations by month' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_cancellations') }}) as expected,
        (select coalesce(sum(cancellation_amount), 0) from {{ ref('rpt_monthly_sales') }}) as actual
    union all
    select
        'net sales of months' as total,
        (select coalesce(sum(net_amount), 0) from {{ ref('rpt_monthly_sales') }}) as expected,
        (select coalesce(sum(net_amount), 0) from {{ ref('rpt_monthly_totals') }}) as actual
    union all
    select
        'new customers of months' as total,
        (select count(*) from {{ ref('rpt_customer_rfm') }}) as expected,
        (select coalesce(sum(new_customer_count), 0) from {{ ref('rpt_monthly_totals') }}) as actual
    union all
    select
        'sales by stock item' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_sales') }}) as expected,
        (select coalesce(sum(sales_amount), 0) from {{ ref('rpt_stock_item_performance') }}) as actual
    union all
    select
        'cancellations by stock item' as total,
        (select coalesce(sum(line_amount), 0) from {{ ref('fct_cancellations') }}) as expected,
        (select coalesce(sum(cancellation_amount), 0) from {{ ref('rpt_stock_item_performance') }}) as actual
    union all
    select
        'sales by customer' as total,
        (
            select coalesce(sum(sale_amount), 0) from {{ ref('customers') }}
            where customer_id <> 'Unknown'
        ) as expected,
        (select coalesce(sum(monetary), 0) from {{ ref('rpt_customer_rfm') }}) as actual
    union all
    select
        'sales by cohort' as total,
        (select coalesce(sum(monetary), 0) from {{ ref('rpt_customer_rfm') }}) as expected,
        (select coalesce(sum(sales_amount), 0) from {{ ref('rpt_cohort_retention') }}) as actual
    union all
    select
        'customers in cohorts' as total,
        (select count(*) from {{ ref('rpt_customer_rfm') }}) as expected,
        (
            select coalesce(sum(active_customers), 0) from {{ ref('rpt_cohort_retention') }}
            where months_since_first = 0
        ) as actual

)

select * from totals
where actual <> expected

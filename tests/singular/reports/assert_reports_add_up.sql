-- Reports add up to the facts that they are built from, however they are grouped; a reader may use any of them.
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
    union all
    select
        'order lines by product' as total,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(order_count), 0) from {{ ref('rpt_product_performance') }}) as actual
    union all
    select
        'order lines by department' as total,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(item_count), 0) from {{ ref('rpt_department_performance') }}) as actual
    union all
    select
        'order lines by aisle' as total,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(item_count), 0) from {{ ref('rpt_aisle_performance') }}) as actual
    union all
    select
        'order lines by user' as total,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(item_count), 0) from {{ ref('rpt_user_segments') }}) as actual
    union all
    select
        'order lines by basket size' as total,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(basket_size * order_count), 0) from {{ ref('rpt_basket_sizes') }}) as actual
    union all
    select
        'orders by time' as total,
        (select count(*) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(order_count), 0) from {{ ref('rpt_order_times') }}) as actual
    union all
    select
        'orders by number' as total,
        (select count(*) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(user_count), 0) from {{ ref('rpt_order_sequence') }}) as actual
    union all
    select
        'orders by gap, and first ones' as total,
        (select count(*) from {{ ref('fct_orders') }}) as expected,
        (select coalesce(sum(order_count), 0) from {{ ref('rpt_order_gaps') }})
        + (
            select count(*) from {{ ref('fct_orders') }}
            where days_since_prior_order is null
        ) as actual

)

select * from totals
where actual <> expected

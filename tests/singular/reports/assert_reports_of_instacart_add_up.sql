-- Reports of Instacart re-add to the facts that they are made of, whichever way they are cut.
with totals as (

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

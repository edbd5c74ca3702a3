-- Facts and users add up to the relational schema: no order or line is lost or counted twice by a join or aggregate.
{{ config(meta={'tests_rows_of': 'order_products'}) }}
{# The view joins every line, so that only those of untested orders are counted. #}
{% set untested_orders = untested_keys() %}
{% set where = 'where order_id in (' ~ untested_orders ~ ')' if untested_orders else '' %}

with totals as (

    select
        'orders in users' as total,
        (select count(*) from {{ ref('orders') }}) as expected,
        (select coalesce(sum(order_count), 0) from {{ ref('users') }}) as actual
    union all
    select
        'orders in fct_orders' as total,
        (select count(*) from {{ ref('orders') }}) as expected,
        (select count(*) from {{ ref('fct_orders') }}) as actual
    union all
    select
        'order lines in fct_orders' as total,
        (select count(*) from {{ ref('order_products') }}) as expected,
        (select coalesce(sum(basket_size), 0) from {{ ref('fct_orders') }}) as actual
    union all
    select
        'reordered lines in fct_orders' as total,
        (select coalesce(sum(reordered), 0) from {{ ref('order_products') }}) as expected,
        (select coalesce(sum(reordered_items), 0) from {{ ref('fct_orders') }}) as actual
    union all
    select
        'order lines in fct_order_items' as total,
        (select count(*) from {{ ref('order_products') }} {{ where }}) as expected,
        (select count(*) from {{ ref('fct_order_items') }} {{ where }}) as actual

)

select * from totals
where actual <> expected

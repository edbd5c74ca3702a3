with order_products as (

    select * from {{ ref('order_products') }}

),

products as (

    select * from {{ ref('products') }}

),

order_total as (

    select count(basket_size) as order_count from {{ ref('fct_orders') }}

),

product_orders as (

    select
        product_id,
        count(*) as order_count
    from order_products
    group by product_id

),

-- Products in too few orders are left out first: they would make most of the pairs, none of which is kept.
counted as (

    select product_orders.*
    from product_orders
    cross join order_total
    where
        product_orders.order_count
        >= {{ least_orders('order_total.order_count', var('pair_report_product_share')) }}
        and product_orders.order_count >= {{ var('pair_report_orders') }}

),

lines as (

    select
        order_products.order_id,
        order_products.product_id
    from order_products
    inner join counted
        on order_products.product_id = counted.product_id

),

pairs as (

    select
        lines.product_id as product_id_a,
        partners.product_id as product_id_b,
        count(*) as order_count
    from lines
    inner join lines as partners
        on
            lines.order_id = partners.order_id
            and lines.product_id < partners.product_id
    group by lines.product_id, partners.product_id
    having count(*) >= {{ var('pair_report_orders') }}

)

select
    pairs.product_id_a,
    pairs.product_id_b,
    products_a.product_name as product_name_a,
    products_b.product_name as product_name_b,
    cast(orders_a.order_count as integer) as orders_a,
    cast(orders_b.order_count as integer) as orders_b,
    cast(pairs.order_count as integer) as orders_with_both,
    {{ ratio('pairs.order_count', 'order_total.order_count') }} as support,  -- noqa: RF04
    {{ ratio('pairs.order_count', 'orders_a.order_count') }} as confidence_a_to_b,
    {{ ratio('pairs.order_count', 'orders_b.order_count') }} as confidence_b_to_a,
    {{ ratio(
        'pairs.order_count * order_total.order_count',
        'cast(orders_a.order_count as bigint) * orders_b.order_count',
        18, 6, is_large=true
    ) }} as lift
from pairs
inner join counted as orders_a
    on pairs.product_id_a = orders_a.product_id
inner join counted as orders_b
    on pairs.product_id_b = orders_b.product_id
inner join products as products_a
    on pairs.product_id_a = products_a.product_id
inner join products as products_b
    on pairs.product_id_b = products_b.product_id
cross join order_total
where pairs.order_count >= {{ least_orders('order_total.order_count', var('pair_report_share')) }}

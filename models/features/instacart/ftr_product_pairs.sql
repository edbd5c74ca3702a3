with order_products as (

    select * from {{ ref('ftr_order_products') }}

),

orders as (

    select * from {{ ref('ftr_orders') }}

),

products as (

    select * from {{ ref('ftr_products') }}
    where sampled_order_count >= {{ var('pair_product_orders') }}

),

sampled as (

    select
        orders.order_id,
        orders.user_id,
        orders.order_age,
        orders.is_followed_in_statistics,
        order_products.product_id,
        order_products.reordered,
        row_number() over (
            partition by orders.order_id
            order by order_products.add_to_cart_order asc, order_products.product_id asc
        ) as cart_step
    from orders
    inner join order_products
        on orders.order_id = order_products.order_id
    where orders.is_in_pair_sample

),

steps as (

    select sampled.*
    from sampled
    inner join products
        on sampled.product_id = products.product_id

),

first_purchases as (

    select
        order_products.user_id,
        order_products.order_age,
        order_products.product_id
    from order_products
    inner join products
        on order_products.product_id = products.product_id
    where order_products.reordered = 0

),

pairs as (

    -- In one cart, in both directions.
    select
        steps.product_id,
        partners.product_id as other_product_id,
        1 as is_in_cart,
        1 - partners.reordered as is_first_purchase_with,
        0 as is_first_purchase_after,
        case when partners.cart_step = steps.cart_step + 1 then 1 else 0 end as is_next_in_cart
    from steps
    inner join steps as partners
        on
            steps.order_id = partners.order_id
            and steps.product_id <> partners.product_id
    union all
    -- In the user's next order.
    select
        steps.product_id,
        first_purchases.product_id as other_product_id,
        0 as is_in_cart,
        0 as is_first_purchase_with,
        1 as is_first_purchase_after,
        0 as is_next_in_cart
    from steps
    inner join first_purchases
        on
            steps.user_id = first_purchases.user_id
            and steps.order_age - 1 = first_purchases.order_age
            -- Rarely false: only if lines of the first order were lost.
            and steps.product_id <> first_purchases.product_id
    where steps.is_followed_in_statistics

),

counted as (

    select
        product_id,
        other_product_id,
        sum(is_in_cart) as orders_with_both,
        sum(is_first_purchase_with) as first_purchases_with,
        sum(is_first_purchase_after) as first_purchases_after,
        sum(is_next_in_cart) as next_in_cart
    from pairs
    group by product_id, other_product_id

),

ranked as (

    select
        *,
        row_number() over (
            partition by product_id
            order by orders_with_both desc, next_in_cart desc, other_product_id asc
        ) as rank_in_cart,
        row_number() over (
            partition by product_id
            order by next_in_cart desc, orders_with_both desc, other_product_id asc
        ) as rank_next_in_cart,
        row_number() over (
            partition by product_id
            order by first_purchases_with + first_purchases_after desc, orders_with_both desc, other_product_id asc
        ) as rank_first_purchase
    from counted

),

pair_sample as (

    select count(*) as order_count from orders
    where is_in_pair_sample

)

select
    ranked.product_id,
    ranked.other_product_id,
    cast(ranked.orders_with_both as integer) as orders_with_both,
    cast(ranked.first_purchases_with as integer) as first_purchases_with,
    cast(ranked.first_purchases_after as integer) as first_purchases_after,
    cast(ranked.next_in_cart as integer) as next_in_cart,
    {{ ratio(
        'ranked.orders_with_both * pair_sample.order_count',
        'cast(products.sampled_order_count as bigint) * partners.sampled_order_count',
        18, 6
    ) }} as lift
from ranked
inner join products
    on ranked.product_id = products.product_id
inner join products as partners
    on ranked.other_product_id = partners.product_id
cross join pair_sample
where
    ranked.rank_in_cart <= {{ var('pairs_per_product') }}
    or ranked.rank_next_in_cart <= {{ var('pairs_per_product') }}
    or ranked.rank_first_purchase <= {{ var('pairs_per_product') }}

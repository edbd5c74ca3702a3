{# Shares of products that were seldom bought lean towards that of all products, by as many purchases as this. #}
{% set pseudo_count = 10 %}
with products as (

    select * from {{ ref('products') }}

),

order_products as (

    select * from {{ ref('ftr_order_products') }}

),

orders as (

    select * from {{ ref('ftr_orders') }}
    where is_in_statistics

),

counted as (

    select
        order_products.product_id,
        count(*) as order_count,
        sum(order_products.reordered) as reorders,
        sum(case when order_products.purchase_number = 1 then 1 else 0 end) as buyers,
        sum(case when order_products.purchase_number = 2 then 1 else 0 end) as repeat_buyers,
        sum(case when orders.is_followed_in_statistics then 1 else 0 end) as followed_purchases,
        sum(
            case when order_products.previous_order_age = order_products.order_age + 1 then 1 else 0 end
        ) as next_order_repeats,
        sum(order_products.add_to_cart_order) as cart_position_sum,
        sum(case when orders.is_in_pair_sample then 1 else 0 end) as sampled_orders,
        sum(
            case when orders.is_in_pair_sample then 1 - order_products.reordered else 0 end
        ) as sampled_first_purchases,
        sum(
            case when orders.is_in_pair_sample and orders.is_followed_in_statistics then 1 else 0 end
        ) as sampled_followed
    from order_products
    inner join orders
        on order_products.order_id = orders.order_id
    group by order_products.product_id

),

-- In millionths.
overall as (

    select
        {{ whole_quotient('1000000 * sum(reorders)', 'nullif(sum(order_count), 0)') }} as reorder_share,
        {{ whole_quotient('1000000 * sum(repeat_buyers)', 'nullif(sum(buyers), 0)') }} as repeat_buyer_share,
        {{ whole_quotient('1000000 * sum(next_order_repeats)', 'nullif(sum(followed_purchases), 0)') }}
            as next_order_share
    from counted

),

completed as (

    select
        products.product_id,
        products.product_name,
        products.aisle_id,
        products.department_id,
        counted.cart_position_sum,
        counted.buyers,
        coalesce(counted.order_count, 0) as order_count,
        coalesce(counted.order_count - counted.reorders, 0) as first_purchase_count,
        coalesce(counted.sampled_orders, 0) as sampled_order_count,
        coalesce(counted.sampled_first_purchases, 0) as sampled_first_purchase_count,
        coalesce(counted.sampled_followed, 0) as sampled_followed_count,
        1000000 * coalesce(counted.reorders, 0) + {{ pseudo_count }} * overall.reorder_share as reorders_smoothed,
        1000000 * coalesce(counted.repeat_buyers, 0)
        + {{ pseudo_count }} * overall.repeat_buyer_share as repeat_buyers_smoothed,
        1000000 * coalesce(counted.next_order_repeats, 0)
        + {{ pseudo_count }} * overall.next_order_share as next_order_repeats_smoothed,
        1000000 * (coalesce(counted.order_count, 0) + {{ pseudo_count }}) as orders_smoothed,
        1000000 * (coalesce(counted.buyers, 0) + {{ pseudo_count }}) as buyers_smoothed,
        1000000 * (coalesce(counted.followed_purchases, 0) + {{ pseudo_count }}) as followed_smoothed
    from products
    left join counted
        on products.product_id = counted.product_id
    cross join overall

)

select
    product_id,
    product_name,
    aisle_id,
    department_id,
    cast(order_count as integer) as order_count,
    cast(first_purchase_count as integer) as first_purchase_count,
    {{ ratio('reorders_smoothed', 'orders_smoothed', is_large=true) }} as reorder_share,
    {{ ratio('repeat_buyers_smoothed', 'buyers_smoothed', is_large=true) }} as repeat_buyer_share,
    {{ ratio('next_order_repeats_smoothed', 'followed_smoothed', is_large=true) }} as next_order_share,
    {{ ratio('order_count', 'buyers', 18, 4) }} as orders_per_buyer,
    {{ ratio('cart_position_sum', 'order_count', 18, 4) }} as mean_cart_position,
    cast(sampled_order_count as integer) as sampled_order_count,
    cast(sampled_first_purchase_count as integer) as sampled_first_purchase_count,
    cast(sampled_followed_count as integer) as sampled_followed_count
from completed

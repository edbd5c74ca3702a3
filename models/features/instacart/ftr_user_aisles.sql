{# Distinct products of the overall mix that are added to the user's own before shares are compared. #}
{% set pseudo_products = 15 %}
with targets as (

    select * from {{ ref('ftr_targets') }}

),

order_products as (

    select * from {{ ref('ftr_order_products') }}

),

products as (

    select * from {{ ref('ftr_products') }}

),

order_aisles as (

    select
        user_id,
        aisle_id,
        order_age,
        count(*) as line_count,
        sum(case when purchase_number = 1 then 1 else 0 end) as product_count
    from order_products
    group by user_id, aisle_id, order_age

),

user_aisles as (

    select
        targets.user_id,
        order_aisles.aisle_id,
        targets.orders_back,
        sum(order_aisles.line_count) as line_count,
        count(*) as order_count,
        sum(order_aisles.product_count) as product_count,
        min(order_aisles.order_age - targets.orders_back) as orders_since_last
    from targets
    inner join order_aisles
        on
            targets.user_id = order_aisles.user_id
            and targets.orders_back < order_aisles.order_age
    group by targets.user_id, order_aisles.aisle_id, targets.orders_back

),

-- One is added to each count, so that every aisle has a share.
aisles as (

    select
        aisle_id,
        sum(first_purchase_count) + 1 as first_purchases
    from products
    group by aisle_id

),

overall as (

    select sum(first_purchases) as first_purchases from aisles

),

compared as (

    select
        user_aisles.*,
        sum(user_aisles.product_count) over (
            partition by user_aisles.user_id, user_aisles.orders_back
        ) as user_product_count,
        aisles.first_purchases as aisle_first_purchases,
        overall.first_purchases as all_first_purchases
    from user_aisles
    inner join aisles
        on user_aisles.aisle_id = aisles.aisle_id
    cross join overall

)

select
    user_id,
    aisle_id,
    orders_back,
    cast(line_count as integer) as line_count,
    cast(order_count as integer) as order_count,
    cast(product_count as integer) as product_count,
    cast(orders_since_last as integer) as orders_since_last,
    {{ ratio(
        'product_count * all_first_purchases + ' ~ pseudo_products ~ ' * aisle_first_purchases',
        '(user_product_count + ' ~ pseudo_products ~ ') * aisle_first_purchases',
        18, 6, is_large=true
    ) }} as taste
from compared

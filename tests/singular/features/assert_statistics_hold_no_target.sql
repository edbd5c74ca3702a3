-- An order that is predicted, and every later one of its user, is left out of statistics over several users.
with orders as (

    select * from {{ ref('ftr_orders') }}

),

oldest_targets as (

    select
        user_id,
        max(orders_back) as oldest_age
    from {{ ref('ftr_targets') }}
    group by user_id

)

select
    orders.order_id,
    orders.order_age,
    oldest_targets.oldest_age
from orders
inner join oldest_targets
    on orders.user_id = oldest_targets.user_id
where
    (orders.is_in_statistics or orders.is_in_pair_sample)
    and orders.order_age <= oldest_targets.oldest_age

-- A user's first order, and no other, has no days since the previous order. `users.days_span` relies on it.
{{ config(severity=history_severity(), meta={'tests_rows_of': 'orders'}) }}
{% set untested_orders = untested_keys() %}

with orders as (

    select * from {{ ref('orders') }}
    {% if untested_orders %}
    where user_id in (select user_id from {{ ref('orders') }} where order_id in ({{ untested_orders }}))
    {% endif %}

),

damaged_users as (

    select user_id from {{ ref('int_users_damaged') }}

)

select
    orders.order_id,
    orders.order_number,
    orders.days_since_prior_order
from orders
left join damaged_users
    on orders.user_id = damaged_users.user_id
where
    damaged_users.user_id is null
    and (
        (orders.order_number = 1 and orders.days_since_prior_order is not null)
        or (orders.order_number <> 1 and orders.days_since_prior_order is null)
    )

-- Every user's orders are numbered 1..n. `users` and every feature over a history rely on it.
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
    orders.user_id,
    count(*) as order_count,
    min(orders.order_number) as first_order_number,
    max(orders.order_number) as last_order_number
from orders
left join damaged_users
    on orders.user_id = damaged_users.user_id
where damaged_users.user_id is null
group by orders.user_id
having
    min(orders.order_number) <> 1
    or max(orders.order_number) <> count(*)
    or count(distinct orders.order_number) <> count(*)

-- `reordered` is 0 on a user's first purchase of a product, 1 on all later ones. `fct_orders` relies on it.
{{ config(severity=history_severity(), meta={'tests_rows_of': 'order_products'}) }}
{% set untested_orders = untested_keys() %}

with order_items as (

    select
        orders.user_id,
        order_products.product_id,
        orders.order_number,
        order_products.reordered
    from {{ ref('order_products') }} as order_products
    inner join {{ ref('orders') }} as orders
        on order_products.order_id = orders.order_id
    {% if untested_orders %}
    where orders.user_id in (select user_id from {{ ref('orders') }} where order_id in ({{ untested_orders }}))
    {% endif %}

),

damaged_users as (

    select user_id from {{ ref('int_users_damaged') }}

)

select
    order_items.user_id,
    order_items.product_id
from order_items
left join damaged_users
    on order_items.user_id = damaged_users.user_id
where damaged_users.user_id is null
group by order_items.user_id, order_items.product_id
having
    sum(1 - order_items.reordered) <> 1
    or min(case when order_items.reordered = 0 then order_items.order_number end) <> min(order_items.order_number)

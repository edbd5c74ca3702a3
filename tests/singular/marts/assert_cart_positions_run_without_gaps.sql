-- The lines of every order are numbered 1..n. Predictions of the next product in the cart rely on it.
{{ config(severity=history_severity(), meta={'tests_rows_of': 'order_products'}) }}
{% set untested_orders = untested_keys() %}

with order_products as (

    select * from {{ ref('order_products') }}
    {% if untested_orders %}
    where order_id in ({{ untested_orders }})
    {% endif %}

),

damaged_orders as (

    select distinct order_id from {{ ref('int_order_products_rejected') }}

)

select
    order_products.order_id,
    count(*) as basket_size,
    min(order_products.add_to_cart_order) as first_position,
    max(order_products.add_to_cart_order) as last_position
from order_products
left join damaged_orders
    on order_products.order_id = damaged_orders.order_id
where damaged_orders.order_id is null
group by order_products.order_id
having
    min(order_products.add_to_cart_order) <> 1
    or max(order_products.add_to_cart_order) <> count(*)
    or count(distinct order_products.add_to_cart_order) <> count(*)

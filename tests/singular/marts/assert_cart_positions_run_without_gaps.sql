-- The lines of every order are numbered 1..n. Predictions of the next product in the cart rely on it.
{{ config(severity=history_severity(), meta={'tests_rows_of': 'order_products'}) }}
{% set untested_orders = untested_keys() %}
{# Position p is bit p - 1 of an integer: n lines whose bits add up to the first n bits are numbered 1..n, since no
   other n powers of two have that sum. It takes a third of the time of counting distinct positions, which orders with
   more lines than an integer has bits get. #}
{% set bits = 62 %}

with order_products as (

    select * from {{ ref('order_products') }}
    {% if untested_orders %}
    where order_id in ({{ untested_orders }})
    {% endif %}

),

damaged_orders as (

    select distinct order_id from {{ ref('int_order_products_rejected') }}

),

whole_orders as (

    select order_products.*
    from order_products
    left join damaged_orders
        on order_products.order_id = damaged_orders.order_id
    where damaged_orders.order_id is null

),

small_orders as (

    select
        order_id,
        count(*) as basket_size,
        min(add_to_cart_order) as first_position,
        max(add_to_cart_order) as last_position
    from whole_orders
    group by order_id
    having
        max(add_to_cart_order) <= {{ bits }}
        and (
            max(add_to_cart_order) <> count(*)
            or sum(
                case
                    when add_to_cart_order between 1 and {{ bits }} then cast(power(2, add_to_cart_order - 1) as bigint)
                    else 0
                end
            ) <> cast(power(2, least(count(*), {{ bits }})) as bigint) - 1
        )

),

large_order_ids as (

    select distinct order_id from whole_orders
    where add_to_cart_order > {{ bits }}

),

large_orders as (

    select
        whole_orders.order_id,
        count(*) as basket_size,
        min(whole_orders.add_to_cart_order) as first_position,
        max(whole_orders.add_to_cart_order) as last_position
    from whole_orders
    inner join large_order_ids
        on whole_orders.order_id = large_order_ids.order_id
    group by whole_orders.order_id
    having
        min(whole_orders.add_to_cart_order) <> 1
        or max(whole_orders.add_to_cart_order) <> count(*)
        or count(distinct whole_orders.add_to_cart_order) <> count(*)

)

select * from small_orders
union all
select * from large_orders

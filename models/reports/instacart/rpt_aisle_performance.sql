with order_items as (

    select * from {{ ref('fct_order_items') }}

),

order_total as (

    select count(basket_size) as order_count from {{ ref('fct_orders') }}

),

-- Groups of groups are cheaper than counting distinct orders, users and products of all items.
products as (

    select
        aisle_id,
        product_id,
        count(*) as item_count,
        sum(reordered) as reordered_items
    from order_items
    group by aisle_id, product_id

),

items as (

    select
        aisle_id,
        count(*) as product_count,
        sum(item_count) as item_count,
        sum(reordered_items) as reordered_items
    from products
    group by aisle_id

),

orders as (

    select distinct
        aisle_id,
        user_id,
        order_id
    from order_items

),

users as (

    select
        aisle_id,
        user_id,
        count(*) as order_count
    from orders
    group by aisle_id, user_id

),

reach as (

    select
        aisle_id,
        count(*) as user_count,
        sum(order_count) as order_count
    from users
    group by aisle_id

),

item_total as (

    select sum(item_count) as item_count from items

)

select
    aisles.aisle_id,
    aisles.aisle,
    cast(coalesce(reach.order_count, 0) as integer) as order_count,
    {{ ratio('coalesce(reach.order_count, 0)', 'order_total.order_count') }} as order_share,
    cast(coalesce(reach.user_count, 0) as integer) as user_count,
    cast(coalesce(items.product_count, 0) as integer) as product_count,
    cast(coalesce(items.item_count, 0) as bigint) as item_count,
    {{ ratio('coalesce(items.item_count, 0)', 'item_total.item_count') }} as item_share,
    {{ ratio('items.reordered_items', 'items.item_count') }} as reorder_share
from {{ ref('aisles') }} as aisles
left join items
    on aisles.aisle_id = items.aisle_id
left join reach
    on aisles.aisle_id = reach.aisle_id
cross join order_total
cross join item_total

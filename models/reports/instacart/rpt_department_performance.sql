with order_items as (

    select * from {{ ref('fct_order_items') }}

),

order_total as (

    select count(basket_size) as order_count from {{ ref('fct_orders') }}

),

-- Groups of groups are cheaper than counting distinct orders, users and products of all items.
products as (

    select
        department_id,
        product_id,
        count(*) as item_count,
        sum(reordered) as reordered_items
    from order_items
    group by department_id, product_id

),

items as (

    select
        department_id,
        count(*) as product_count,
        sum(item_count) as item_count,
        sum(reordered_items) as reordered_items
    from products
    group by department_id

),

orders as (

    select distinct
        department_id,
        user_id,
        order_id
    from order_items

),

users as (

    select
        department_id,
        user_id,
        count(*) as order_count
    from orders
    group by department_id, user_id

),

reach as (

    select
        department_id,
        count(*) as user_count,
        sum(order_count) as order_count
    from users
    group by department_id

),

item_total as (

    select sum(item_count) as item_count from items

)

select
    departments.department_id,
    departments.department,
    cast(coalesce(reach.order_count, 0) as integer) as order_count,
    {{ ratio('coalesce(reach.order_count, 0)', 'order_total.order_count') }} as order_share,
    cast(coalesce(reach.user_count, 0) as integer) as user_count,
    cast(coalesce(items.product_count, 0) as integer) as product_count,
    cast(coalesce(items.item_count, 0) as bigint) as item_count,
    {{ ratio('coalesce(items.item_count, 0)', 'item_total.item_count') }} as item_share,
    {{ ratio('items.reordered_items', 'items.item_count') }} as reorder_share
from {{ ref('departments') }} as departments
left join items
    on departments.department_id = items.department_id
left join reach
    on departments.department_id = reach.department_id
cross join order_total
cross join item_total

with order_total as (

    select count(basket_size) as order_count from {{ ref('fct_orders') }}

),

measured as (

    {{ measured_items(ref('order_products'), ref('fct_orders'), ref('products'), 'department_id') }}

),

item_total as (

    select sum(item_count) as item_count from measured

)

select
    departments.department_id,
    departments.department,
    cast(coalesce(measured.order_count, 0) as integer) as order_count,
    {{ ratio('coalesce(measured.order_count, 0)', 'order_total.order_count') }} as order_share,
    cast(coalesce(measured.user_count, 0) as integer) as user_count,
    cast(coalesce(measured.product_count, 0) as integer) as product_count,
    cast(coalesce(measured.item_count, 0) as bigint) as item_count,
    {{ ratio('coalesce(measured.item_count, 0)', 'item_total.item_count') }} as item_share,
    {{ ratio('measured.reordered_items', 'measured.item_count') }} as reorder_share
from {{ ref('departments') }} as departments
left join measured
    on departments.department_id = measured.department_id
cross join order_total
cross join item_total

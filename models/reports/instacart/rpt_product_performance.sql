with products as (

    select * from {{ ref('products') }}

),

order_total as (

    select count(basket_size) as order_count from {{ ref('fct_orders') }}

),

-- By user first, which is cheaper than counting distinct users.
bought as (

    select
        order_products.product_id,
        orders.user_id,
        count(*) as order_count,
        sum(order_products.reordered) as reordered_items,
        sum(case when order_products.add_to_cart_order = 1 then 1 else 0 end) as first_in_cart_count,
        sum(order_products.add_to_cart_order) as cart_positions
    from {{ ref('order_products') }} as order_products
    inner join {{ ref('fct_orders') }} as orders
        on order_products.order_id = orders.order_id
    group by order_products.product_id, orders.user_id

),

measured as (

    select
        product_id,
        count(*) as user_count,
        sum(case when order_count > 1 then 1 else 0 end) as repeat_user_count,
        sum(order_count) as order_count,
        sum(reordered_items) as reordered_items,
        sum(first_in_cart_count) as first_in_cart_count,
        sum(cart_positions) as cart_positions
    from bought
    group by product_id

)

select
    products.product_id,
    products.product_name,
    aisles.aisle,
    departments.department,
    cast(coalesce(measured.order_count, 0) as integer) as order_count,
    {{ ratio('coalesce(measured.order_count, 0)', 'order_total.order_count') }} as order_share,
    cast(coalesce(measured.user_count, 0) as integer) as user_count,
    cast(coalesce(measured.repeat_user_count, 0) as integer) as repeat_user_count,
    {{ ratio('measured.reordered_items', 'measured.order_count') }} as reorder_share,
    {{ ratio('measured.first_in_cart_count', 'measured.order_count') }} as first_in_cart_share,
    {{ ratio('measured.cart_positions', 'measured.order_count', 18, 4) }} as mean_cart_position
from products
inner join {{ ref('aisles') }} as aisles
    on products.aisle_id = aisles.aisle_id
inner join {{ ref('departments') }} as departments
    on products.department_id = departments.department_id
left join measured
    on products.product_id = measured.product_id
cross join order_total

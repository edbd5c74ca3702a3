with orders as (

    select * from {{ ref('fct_orders') }}

),

user_total as (

    select count(*) as user_count from {{ ref('users') }}

),

measured as (

    select
        order_number,
        count(distinct user_id) as user_count,
        count(basket_size) as orders_with_lines,
        sum(basket_size) as item_count,
        sum(reordered_items) as reordered_items
    from orders
    group by order_number

)

select
    measured.order_number,
    cast(measured.user_count as integer) as user_count,
    {{ ratio('measured.user_count', 'user_total.user_count') }} as user_share,
    cast(measured.orders_with_lines as integer) as orders_with_lines,
    {{ ratio('measured.item_count', 'measured.orders_with_lines', 18, 4) }} as mean_basket_size,
    {{ ratio('measured.reordered_items', 'measured.item_count') }} as reorder_share,
    {{ ratio('measured.item_count - measured.reordered_items', 'measured.item_count') }} as new_product_share,
    {{ ratio(
        'measured.item_count - measured.reordered_items', 'measured.orders_with_lines', 18, 4
    ) }} as mean_new_products
from measured
cross join user_total

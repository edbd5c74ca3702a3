with orders as (

    select * from {{ ref('fct_orders') }}

),

measured as (

    select
        basket_size,
        count(*) as order_count,
        sum(reordered_items) as reordered_items
    from orders
    where basket_size is not null
    group by basket_size

),

order_total as (

    select sum(order_count) as order_count from measured

)

select
    measured.basket_size,
    cast(measured.order_count as integer) as order_count,
    {{ ratio('measured.order_count', 'order_total.order_count') }} as order_share,
    {{ ratio('measured.reordered_items', 'measured.order_count * measured.basket_size') }} as reorder_share
from measured
cross join order_total

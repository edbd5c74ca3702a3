-- When do people order, and how do their baskets differ over the day?
with orders as (

    select * from {{ ref('fct_orders') }}

)

select
    order_hour_of_day,
    count(*) as order_count,
    cast(avg(cast(basket_size as numeric(18, 6))) as numeric(9, 2)) as average_basket_size,
    cast(avg(reorder_share) as numeric(7, 6)) as average_reorder_share
from orders
-- Test orders have no lines by design; an average over them would be one over fewer orders than counted.
where basket_size is not null
group by order_hour_of_day
order by order_hour_of_day

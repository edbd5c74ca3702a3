with orders as (

    select * from {{ ref('orders') }}

)

select
    user_id,
    cast(count(*) as integer) as order_count,
    cast(coalesce(sum(days_since_prior_order), 0) as integer) as days_span
from orders
group by user_id

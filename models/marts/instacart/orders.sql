-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_instacart_rejections_counted') }}
with orders as (

    {{ touched_rows(ref('int_orders_accepted')) }}

)

select
    order_id,
    user_id,
    eval_set,
    order_number,
    order_dow,
    order_hour_of_day,
    days_since_prior_order
from orders

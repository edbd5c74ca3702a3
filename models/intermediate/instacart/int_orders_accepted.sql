with orders as (

    select * from {{ ref('stg_instacart__orders') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_orders_rejected') }}

)

select
    orders.order_id,
    orders.user_id,
    orders.eval_set,
    orders.order_number,
    orders.order_dow,
    orders.order_hour_of_day,
    orders.days_since_prior_order,
    cast('orders' as varchar(100)) as table_name,
    orders.file_name,
    orders.row_number
from orders
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = orders.file_name
            and rejected.row_number = orders.row_number
    )

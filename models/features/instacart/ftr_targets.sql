with orders as (

    select * from {{ ref('ftr_orders') }}

),

users as (

    select
        user_id,
        max(order_age) as order_count,
        max(order_number) as last_order_number,
        max(order_day) as last_order_day,
        {{ whole_quotient(
            '2 * sum(days_since_prior_order) + count(days_since_prior_order)',
            'nullif(2 * count(days_since_prior_order), 0)'
        ) }} as usual_gap,
        {{ whole_quotient('2 * sum(order_hour_of_day) + count(*)', '2 * count(*)') }} as usual_hour
    from orders
    group by user_id

),

days_of_week as (

    select
        user_id,
        order_dow,
        row_number() over (partition by user_id order by count(*) desc, max(order_number) desc) as day_rank
    from orders
    group by user_id, order_dow

),

numbered as (

    select
        *,
        row_number() over (partition by user_id order by order_number desc, order_id desc) as number_from_last
    from orders

),

open_orders as (

    select * from numbered
    where number_from_last = 1 and eval_set = 'test' and basket_size is null

),

to_be_predicted as (

    select
        users.user_id,
        0 as orders_back,
        open_orders.order_id,
        open_orders.eval_set,
        coalesce(open_orders.order_number, cast(users.last_order_number as integer) + 1) as order_number,
        coalesce(open_orders.order_dow, days_of_week.order_dow) as order_dow,
        coalesce(open_orders.order_hour_of_day, users.usual_hour) as order_hour_of_day,
        case
            when open_orders.order_id is not null then open_orders.days_since_prior_order
            else users.usual_gap
        end as days_since_prior_order,
        case
            when open_orders.order_id is not null then open_orders.order_day
            else users.last_order_day + users.usual_gap
        end as order_day,
        users.order_count as history_orders
    from users
    inner join days_of_week
        on users.user_id = days_of_week.user_id
    left join open_orders
        on users.user_id = open_orders.user_id
    where days_of_week.day_rank = 1 and users.order_count > 0

),

known as (

    select
        orders.user_id,
        orders.order_age as orders_back,
        orders.order_id,
        orders.eval_set,
        orders.order_number,
        orders.order_dow,
        orders.order_hour_of_day,
        orders.days_since_prior_order,
        orders.order_day,
        users.order_count - orders.order_age as history_orders
    from orders
    inner join users
        on orders.user_id = users.user_id
    where orders.is_target

),

unioned as (

    select * from to_be_predicted
    union all
    select * from known

)

select
    user_id,
    cast(orders_back as smallint) as orders_back,
    order_id,
    eval_set,
    cast(order_number as integer) as order_number,
    cast(order_dow as smallint) as order_dow,
    cast(order_hour_of_day as smallint) as order_hour_of_day,
    cast(days_since_prior_order as smallint) as days_since_prior_order,
    cast(order_day as integer) as order_day,
    cast(history_orders as integer) as history_orders
from unioned

with fct_orders as (

    select * from {{ ref('fct_orders') }}

),

orders as (

    select
        *,
        -- An order with an unknown basket counts for days, not as an order.
        case when basket_size is not null then 1 else 0 end as has_lines
    from fct_orders

),

counted as (

    select
        *,
        sum(has_lines) over (partition by user_id) as user_orders,
        sum(has_lines) over (
            partition by user_id
            order by order_number desc, order_id desc
            rows between unbounded preceding and current row
        ) as orders_from_last,
        sum(coalesce(days_since_prior_order, 0)) over (
            partition by user_id
            order by order_number asc, order_id asc
            rows between unbounded preceding and current row
        ) as order_day
    from orders

),

aged as (

    select
        *,
        case when has_lines = 1 then orders_from_last end as order_age
    from counted

),

judged as (

    select
        *,
        case
            when user_orders - order_age >= {{ var('min_history_orders') }}
                then case when order_age <= {{ var('training_orders_per_user') }} then 1 end
            -- Every fourth of the users without enough history, so that most carts remain for the statistics.
            when
                order_age = 1
                and user_orders <= {{ var('min_history_orders') }}
                and {{ shuffled('user_id') }} < 1073741824
                then 2
        end as target_kind
    from aged

),

ranked as (

    select
        *,
        row_number() over (
            partition by target_kind
            order by order_age asc, {{ shuffled('user_id') }} asc, order_id asc
        ) as target_rank
    from judged

),

targeted as (

    select
        *,
        coalesce(target_kind is not null and target_rank <= {{ var('training_orders') }}, false) as is_target
    from ranked

),

parted as (

    select
        *,
        -- The user's oldest target and all later orders are left out of statistics over several users.
        coalesce(max(case when is_target then order_age end) over (partition by user_id), 0) as oldest_target_age
    from targeted

),

placed as (

    select
        *,
        coalesce(order_age > oldest_target_age, false) as is_in_statistics,
        coalesce(order_age - 1 > oldest_target_age, false) as is_followed_in_statistics
    from parted

),

sampled as (

    select
        *,
        row_number() over (
            partition by is_in_statistics
            order by {{ shuffled('order_id') }} asc, order_id asc
        ) as sample_rank
    from placed

)

select
    order_id,
    user_id,
    eval_set,
    order_number,
    order_dow,
    order_hour_of_day,
    days_since_prior_order,
    basket_size,
    reordered_items,
    cast(order_age as integer) as order_age,
    cast(order_day as integer) as order_day,
    is_target,
    is_in_statistics,
    is_followed_in_statistics,
    is_in_statistics and sample_rank <= {{ var('pair_orders') }} as is_in_pair_sample
from sampled

with targets as (

    select * from {{ ref('ftr_targets') }}

),

order_products as (

    select * from {{ ref('ftr_order_products') }}

),

history as (

    select
        order_products.user_id,
        order_products.product_id,
        targets.orders_back,
        order_products.order_age - targets.orders_back as age,
        targets.order_day - order_products.order_day as days_ago,
        order_products.days_since_previous,
        order_products.add_to_cart_order,
        -- In millionths, rounded down. Where lines of the order are missing, a place may lie beyond the last one.
        least(
            1000000,
            {{ whole_quotient(
                '1000000 * cast(order_products.add_to_cart_order as bigint)', 'order_products.basket_size'
            ) }}
        ) as relative_position,
        abs(order_products.order_hour_of_day - targets.order_hour_of_day) as hour_difference,
        case when order_products.order_dow = targets.order_dow then 1 else 0 end as is_same_dow,
        case
            when order_products.previous_order_age = order_products.order_age + 1 then 1 else 0
        end as is_next_order_repeat,
        -- Later orders are read only to exclude them from the history, and for the label.
        case
            when order_products.next_order_age > targets.orders_back then 0 else 1
        end as is_last_purchase,
        case when order_products.next_order_age = targets.orders_back then 1 else 0 end as is_bought_next
    from targets
    inner join order_products
        on
            targets.user_id = order_products.user_id
            and targets.orders_back < order_products.order_age

),

summed as (

    select
        user_id,
        product_id,
        orders_back,
        count(*) as order_count,
        max(age) as orders_since_first,
        min(age) as orders_since_last,
        max(days_ago) as days_since_first,
        min(days_ago) as days_since_last,
        count(days_since_previous) as gap_count,
        sum(days_since_previous) as gap_sum,
        sum(cast(days_since_previous as bigint) * days_since_previous) as gap_squares,
        max(days_since_previous) as max_days_between,
        min(days_since_previous) as min_days_between,
        sum(add_to_cart_order) as position_sum,
        sum(relative_position) as relative_position_sum,
        max(case when is_last_purchase = 1 then relative_position end) as last_relative_position,
        sum(
            case age
                when 1 then 512 when 2 then 256 when 3 then 128 when 4 then 64 when 5 then 32
                when 6 then 16 when 7 then 8 when 8 then 4 when 9 then 2 when 10 then 1 else 0
            end
        ) as recent_orders_pattern,
        {{ decay(0.8, 'age') }} as decay_80,
        {{ decay(0.95, 'age') }} as decay_95,
        sum(is_same_dow) as same_dow_count,
        sum(hour_difference) as hour_difference_sum,
        sum(is_next_order_repeat) as next_order_repeats,
        max(is_bought_next) as is_bought_next
    from history
    group by user_id, product_id, orders_back

)

select
    user_id,
    product_id,
    orders_back,
    cast(order_count as integer) as order_count,
    cast(orders_since_first as integer) as orders_since_first,
    cast(orders_since_last as integer) as orders_since_last,
    cast(days_since_first as integer) as days_since_first,
    cast(days_since_last as integer) as days_since_last,
    {{ ratio('gap_sum', 'gap_count', 18, 4) }} as mean_days_between,
    {{ standard_deviation('gap_count', 'gap_sum', 'gap_squares') }} as sd_days_between,
    cast(max_days_between as integer) as max_days_between,
    cast(min_days_between as integer) as min_days_between,
    {{ ratio('position_sum', 'order_count', 18, 4) }} as mean_cart_position,
    {{ ratio('relative_position_sum', '1000000 * order_count', is_large=true) }} as mean_relative_position,
    {{ ratio('last_relative_position', 1000000) }} as last_relative_position,
    cast(recent_orders_pattern as integer) as recent_orders_pattern,
    decay_80,
    decay_95,
    cast(same_dow_count as integer) as same_dow_count,
    {{ ratio('hour_difference_sum', 'order_count', 7, 4) }} as mean_hour_difference,
    cast(next_order_repeats as integer) as next_order_repeats,
    -- Unknown for the order to be predicted.
    case when orders_back > 0 then cast(is_bought_next as smallint) end as is_bought
from summed

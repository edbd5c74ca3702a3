with orders as (

    select * from {{ ref('fct_orders') }}

),

measured as (

    select
        user_id,
        count(*) as order_count,
        count(basket_size) as orders_with_lines,
        sum(basket_size) as item_count,
        -- In the first order everything is new.
        sum(case when order_number > 1 then basket_size end) as later_items,
        sum(case when order_number > 1 then reordered_items end) as later_reordered_items,
        sum(days_since_prior_order) as days_between,
        count(days_since_prior_order) as gap_count
    from orders
    group by user_id

),

shares as (

    select
        *,
        {{ ratio('item_count', 'orders_with_lines', 18, 4) }} as mean_basket_size,
        {{ ratio('later_reordered_items', 'later_items') }} as reorder_share,
        {{ ratio('days_between', 'gap_count', 18, 4) }} as mean_days_between_orders
    from measured

)

select
    user_id,
    cast(order_count as integer) as order_count,
    cast(orders_with_lines as integer) as orders_with_lines,
    cast(coalesce(item_count, 0) as integer) as item_count,
    mean_basket_size,
    reorder_share,
    mean_days_between_orders,
    cast(
        case
            when reorder_share is null or mean_days_between_orders is null then 'newcomers'
            when
                mean_days_between_orders <= {{ var('frequent_user_days') }}
                and reorder_share >= {{ var('loyal_user_reorder_share') }} then 'regulars'
            when mean_days_between_orders <= {{ var('frequent_user_days') }} then 'explorers'
            when reorder_share >= {{ var('loyal_user_reorder_share') }} then 'restockers'
            else 'occasional'
        end as varchar(20)
    ) as segment
from shares

with targets as (

    select * from {{ ref('ftr_targets') }}

),

orders as (

    select * from {{ ref('ftr_orders') }}

),

history as (

    select
        targets.user_id,
        targets.orders_back,
        orders.order_age - targets.orders_back as age,
        orders.order_day,
        orders.basket_size,
        orders.reordered_items,
        orders.basket_size - orders.reordered_items as first_purchases,
        orders.order_day - lag(orders.order_day) over (
            partition by targets.user_id, targets.orders_back
            order by orders.order_age desc
        ) as gap,
        -- In a user's first order nothing can be bought again.
        case when orders.order_number > 1 then 1 end as is_later_order
    from targets
    inner join orders
        on
            targets.user_id = orders.user_id
            and targets.orders_back < orders.order_age

),

summed as (

    select
        user_id,
        orders_back,
        count(*) as order_count,
        count(gap) as gap_count,
        sum(gap) as gap_sum,
        sum(cast(gap as bigint) * gap) as gap_squares,
        sum(basket_size) as item_count,
        sum(cast(basket_size as bigint) * basket_size) as basket_size_squares,
        max(case when age = 1 then basket_size end) as last_basket_size,
        sum(first_purchases) as first_purchase_count,
        count(is_later_order) as later_orders,
        sum(basket_size * is_later_order) as later_items,
        sum(reordered_items * is_later_order) as later_reordered_items,
        sum(case when reordered_items = 0 then is_later_order else 0 end) as later_orders_without_reorder,
        sum(case when age <= 3 then 1 else 0 end) as last_3_orders,
        sum(case when age <= 3 then basket_size else 0 end) as last_3_items,
        sum(case when age <= 3 then first_purchases else 0 end) as last_3_first_purchases,
        sum(case when age <= 3 then basket_size * is_later_order else 0 end) as last_3_later_items,
        sum(case when age <= 3 then reordered_items * is_later_order else 0 end) as last_3_later_reordered_items
    from history
    group by user_id, orders_back

)

select
    targets.user_id,
    targets.orders_back,
    targets.order_id,
    targets.order_dow,
    targets.order_hour_of_day,
    targets.days_since_prior_order,
    cast(summed.order_count as integer) as order_count,
    {{ ratio('summed.gap_sum', 'summed.gap_count', 18, 4) }} as mean_days_between_orders,
    {{ standard_deviation('summed.gap_count', 'summed.gap_sum', 'summed.gap_squares') }} as sd_days_between_orders,
    {{ ratio('summed.item_count', 'summed.order_count', 18, 4) }} as mean_basket_size,
    {{ standard_deviation('summed.order_count', 'summed.item_count', 'summed.basket_size_squares') }} as sd_basket_size,
    summed.last_basket_size,
    {{ ratio('summed.last_3_items', 'summed.last_3_orders', 18, 4) }} as mean_basket_size_last_3,
    cast(summed.first_purchase_count as integer) as first_purchase_count,
    {{ ratio('summed.later_reordered_items', 'summed.later_items') }} as reorder_share,
    {{ ratio('summed.last_3_later_reordered_items', 'summed.last_3_later_items') }} as reorder_share_last_3,
    {{ ratio('summed.later_orders_without_reorder', 'summed.later_orders') }} as none_share,
    {{ ratio('summed.later_reordered_items', 'summed.later_orders', 18, 4) }} as mean_reordered_items,
    {{ ratio('summed.last_3_first_purchases', 'summed.last_3_orders', 18, 4) }} as mean_first_purchases_last_3
from targets
inner join summed
    on
        targets.user_id = summed.user_id
        and targets.orders_back = summed.orders_back

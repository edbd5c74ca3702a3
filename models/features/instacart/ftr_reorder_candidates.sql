with user_products as (

    select * from {{ ref('ftr_user_products') }}

),

users as (

    select * from {{ ref('ftr_users') }}

),

user_aisles as (

    select * from {{ ref('ftr_user_aisles') }}

),

products as (

    select * from {{ ref('ftr_products') }}

),

{# Bit by bit: in the last order, in the one before, ... #}
flagged as (

    select
        {% for orders_ago in range(1, 11) %}
        mod({{ whole_quotient('recent_orders_pattern', 2 ** (10 - orders_ago)) }}, 2) as was_in_last_{{ orders_ago }},
        {% endfor %}
        *
    from user_products

),

{# Ranks are of the user's other products, and so are known only when all of these are. #}
ranked as (

    select
        *,
        row_number() over (
            partition by user_id, orders_back
            order by decay_80 desc, order_count desc, product_id asc
        ) as rank_by_decay,
        row_number() over (
            partition by user_id, orders_back
            order by order_count desc, orders_since_last asc, product_id asc
        ) as rank_by_count,
        count(*) over (partition by user_id, orders_back) as user_product_count
    from flagged

)

select
    ranked.user_id,
    ranked.product_id,
    ranked.orders_back,
    users.order_id,
    products.aisle_id,
    products.department_id,
    ranked.is_bought,
    users.order_dow,
    users.order_hour_of_day,
    users.days_since_prior_order,
    users.order_count as user_order_count,
    users.mean_days_between_orders as user_mean_days_between_orders,
    users.sd_days_between_orders as user_sd_days_between_orders,
    {{ ratio(
        '10000 * cast(users.days_since_prior_order as bigint)',
        'cast(10000 * (1 + users.mean_days_between_orders) as bigint)',
        9, 6
    ) }} as days_to_usual_gap_ratio,
    users.mean_basket_size as user_mean_basket_size,
    users.sd_basket_size as user_sd_basket_size,
    users.last_basket_size as user_last_basket_size,
    users.mean_basket_size_last_3 as user_mean_basket_size_last_3,
    users.first_purchase_count as user_first_purchase_count,
    users.reorder_share as user_reorder_share,
    users.reorder_share_last_3 as user_reorder_share_last_3,
    users.none_share as user_none_share,
    users.mean_reordered_items as user_mean_reordered_items,
    users.mean_first_purchases_last_3 as user_mean_first_purchases_last_3,
    cast(ranked.user_product_count as integer) as user_product_count,
    ranked.order_count,
    {{ ratio('ranked.order_count', 'users.order_count') }} as order_share,
    ranked.orders_since_first,
    ranked.orders_since_last,
    {{ ratio('ranked.order_count', 'ranked.orders_since_first') }} as order_share_since_first,
    ranked.days_since_first,
    ranked.days_since_last,
    ranked.mean_days_between,
    ranked.sd_days_between,
    ranked.max_days_between,
    ranked.min_days_between,
    {{ ratio(
        '10000 * cast(ranked.days_since_last as bigint)',
        'cast(10000 * (1 + ranked.mean_days_between) as bigint)',
        18, 6, is_large=true
    ) }} as due_ratio,
    {{ ratio('ranked.days_since_last', '(1 + ranked.max_days_between)', 18, 6) }} as due_ratio_max,
    cast(ranked.days_since_last - ranked.mean_days_between as numeric(18, 4)) as days_overdue,
    {{ ratio(
        'cast(ranked.orders_since_last as bigint) * (ranked.order_count - 1)',
        '(ranked.orders_since_first - ranked.orders_since_last)',
        18, 6, is_large=true
    ) }} as due_ratio_orders,
    ranked.mean_cart_position,
    ranked.mean_relative_position,
    ranked.last_relative_position,
    {% for orders_ago in range(1, 6) %}
    cast(ranked.was_in_last_{{ orders_ago }} as smallint) as was_in_last_{{ orders_ago }},
    {% endfor %}
    ranked.recent_orders_pattern,
    {% for last_orders in (3, 5, 10) %}
    cast(
        {% for orders_ago in range(1, last_orders + 1) %}
        {{ '+ ' if not loop.first }}ranked.was_in_last_{{ orders_ago }}
        {% endfor %}
        as integer
    ) as orders_in_last_{{ last_orders }},
    {% endfor %}
    ranked.decay_80,
    ranked.decay_95,
    cast(
        case
            when ranked.recent_orders_pattern >= 1023 then 10
            when ranked.recent_orders_pattern >= 1022 then 9
            when ranked.recent_orders_pattern >= 1020 then 8
            when ranked.recent_orders_pattern >= 1016 then 7
            when ranked.recent_orders_pattern >= 1008 then 6
            when ranked.recent_orders_pattern >= 992 then 5
            when ranked.recent_orders_pattern >= 960 then 4
            when ranked.recent_orders_pattern >= 896 then 3
            when ranked.recent_orders_pattern >= 768 then 2
            when ranked.recent_orders_pattern >= 512 then 1
            else 0
        end as integer
    ) as streak,
    ranked.same_dow_count,
    {{ ratio('2 * ranked.same_dow_count + 1', '2 * ranked.order_count + 7') }} as same_dow_share,
    ranked.mean_hour_difference,
    ranked.next_order_repeats,
    {{ ratio('ranked.next_order_repeats + 1', 'ranked.order_count + 3') }} as next_order_repeat_share,
    products.order_count as product_order_count,
    products.first_purchase_count as product_first_purchase_count,
    products.reorder_share as product_reorder_share,
    products.repeat_buyer_share as product_repeat_buyer_share,
    products.next_order_share as product_next_order_share,
    products.orders_per_buyer as product_orders_per_buyer,
    products.mean_cart_position as product_mean_cart_position,
    user_aisles.line_count as aisle_line_count,
    user_aisles.product_count as aisle_product_count,
    user_aisles.orders_since_last as aisle_orders_since_last,
    {{ ratio('user_aisles.order_count', 'users.order_count') }} as aisle_order_share,
    {{ ratio('ranked.order_count', 'user_aisles.line_count') }} as share_of_aisle,
    user_aisles.taste as aisle_taste,
    cast(ranked.rank_by_decay as integer) as rank_by_decay,
    cast(ranked.rank_by_count as integer) as rank_by_count
from ranked
inner join users
    on
        ranked.user_id = users.user_id
        and ranked.orders_back = users.orders_back
inner join products
    on ranked.product_id = products.product_id
inner join user_aisles
    on
        ranked.user_id = user_aisles.user_id
        and ranked.orders_back = user_aisles.orders_back
        and products.aisle_id = user_aisles.aisle_id

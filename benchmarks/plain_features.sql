-- The features as one would write them by hand for DuckDB alone, from the tables of schema instacart in the database
-- `marts`: floating point, no keys, no tests, no second engine. Counts equal those of the project, row by row; shares and
-- means agree to within what the project rounds them by. $training_orders and so on are the project's vars.
create table orders as
with known as (
    select
        order_id, user_id, eval_set, order_number, order_dow, order_hour_of_day, days_since_prior_order, basket_size,
        reordered_items,
        case when basket_size is not null then
            count(basket_size) over (partition by user_id order by order_number desc, order_id desc)
        end as order_age,
        count(basket_size) over (partition by user_id) as user_orders,
        sum(coalesce(days_since_prior_order, 0)) over (partition by user_id order by order_number, order_id) as order_day
    from marts.instacart.fct_orders
),
ranked as (
    select
        *,
        case
            when user_orders - order_age >= $min_history_orders
                then if(order_age <= $training_orders_per_user, 1, null)
            when order_age = 1 and user_orders <= $min_history_orders and user_id * 2654435761 % 4294967296 < 1073741824
                then 2
        end as kind
    from known
),
targeted as (
    select
        *,
        kind is not null and row_number() over (
            partition by kind order by order_age, user_id * 2654435761 % 4294967296, order_id
        ) <= $training_orders as is_target
    from ranked
),
placed as (
    select *, coalesce(max(order_age) filter (is_target) over (partition by user_id), 0) as oldest_target from targeted
),
parted as (
    select
        * exclude (user_orders, kind, oldest_target),
        coalesce(order_age > oldest_target, false) as is_in_statistics,
        coalesce(order_age - 1 > oldest_target, false) as is_followed
    from placed
)
select
    *,
    is_in_statistics and row_number() over (
        partition by is_in_statistics order by order_id::bigint * 2654435761 % 4294967296, order_id
    ) <= $pair_orders as is_in_sample
from parted;

create table lines as
select
    l.order_id, l.product_id, o.user_id, p.aisle_id, o.order_age, o.order_day, o.order_dow, o.order_hour_of_day,
    o.basket_size, l.add_to_cart_order, l.reordered, o.is_in_statistics, o.is_followed, o.is_in_sample,
    row_number() over w as purchase_number,
    lag(o.order_age) over w as previous_age,
    lead(o.order_age) over w as next_age,
    o.order_day - lag(o.order_day) over w as gap
from marts.instacart.order_products as l
join orders as o using (order_id)
join marts.instacart.products as p using (product_id)
window w as (partition by o.user_id, l.product_id order by o.order_age desc);

create table targets as
with users as (
    select
        user_id, max(order_age) as order_count, max(order_number) as last_number, max(order_day) as last_day,
        floor(avg(days_since_prior_order) + 0.5)::int as usual_gap, floor(avg(order_hour_of_day) + 0.5)::int as usual_hour,
        max_by(order_dow, (dow_count, dow_last)) as usual_dow
    from (
        select
            *, count(*) over (partition by user_id, order_dow) as dow_count,
            max(order_number) over (partition by user_id, order_dow) as dow_last
        from orders
    )
    group by user_id
),
open as (
    select * from orders
    qualify
        row_number() over (partition by user_id order by order_number desc, order_id desc) = 1
        and eval_set = 'test' and basket_size is null
)
select
    u.user_id, 0 as orders_back, open.order_id,
    coalesce(open.order_dow, usual_dow) as order_dow,
    coalesce(open.order_hour_of_day, usual_hour) as order_hour_of_day,
    if(open.order_id is null, usual_gap, open.days_since_prior_order) as days_since_prior_order,
    if(open.order_id is null, last_day + usual_gap, open.order_day) as order_day,
    u.order_count as history_orders
from users as u left join open using (user_id) where u.order_count > 0
union all
select
    user_id, order_age, order_id, order_dow, order_hour_of_day, days_since_prior_order, order_day,
    u.order_count - order_age
from orders join users as u using (user_id) where is_target;

create table ftr_users as
with history as (
    select
        t.user_id, t.orders_back, o.order_age - t.orders_back as age, o.basket_size, o.reordered_items,
        o.order_number > 1 as is_later,
        o.order_day - lag(o.order_day) over (partition by t.user_id, t.orders_back order by o.order_age desc) as gap
    from targets as t join orders as o on t.user_id = o.user_id and t.orders_back < o.order_age
)
select
    user_id, orders_back, count(*) as order_count, avg(gap) as mean_days_between_orders,
    stddev_pop(gap) as sd_days_between_orders, avg(basket_size) as mean_basket_size,
    stddev_pop(basket_size) as sd_basket_size, max(basket_size) filter (age = 1) as last_basket_size,
    avg(basket_size) filter (age <= 3) as mean_basket_size_last_3,
    sum(basket_size - reordered_items) as first_purchase_count,
    sum(reordered_items) filter (is_later) / sum(basket_size) filter (is_later) as reorder_share,
    sum(reordered_items) filter (is_later and age <= 3) / sum(basket_size) filter (is_later and age <= 3)
        as reorder_share_last_3,
    avg((reordered_items = 0)::int) filter (is_later) as none_share,
    avg(reordered_items) filter (is_later) as mean_reordered_items,
    avg(basket_size - reordered_items) filter (age <= 3) as mean_first_purchases_last_3
from history group by user_id, orders_back;

create table ftr_user_products as
select
    l.user_id, l.product_id, t.orders_back,
    count(*) as order_count,
    max(l.order_age) - t.orders_back as orders_since_first,
    min(l.order_age) - t.orders_back as orders_since_last,
    max(t.order_day - l.order_day) as days_since_first,
    min(t.order_day - l.order_day) as days_since_last,
    avg(gap) as mean_days_between, stddev_pop(gap) as sd_days_between, max(gap) as max_days_between,
    min(gap) as min_days_between,
    avg(add_to_cart_order) as mean_cart_position, avg(add_to_cart_order / basket_size) as mean_relative_position,
    min_by(add_to_cart_order / basket_size, l.order_age) as last_relative_position,
    sum(if(l.order_age - t.orders_back <= 10, 512 >> (l.order_age - t.orders_back - 1), 0)) as recent_orders_pattern,
    sum(0.8 ** (l.order_age - t.orders_back - 1)) as decay_80,
    sum(0.95 ** (l.order_age - t.orders_back - 1)) as decay_95,
    count(*) filter (l.order_dow = t.order_dow) as same_dow_count,
    avg(abs(l.order_hour_of_day - t.order_hour_of_day)) as mean_hour_difference,
    count(*) filter (previous_age = l.order_age + 1) as next_order_repeats,
    if(t.orders_back > 0, coalesce(max((next_age = t.orders_back)::int), 0), null) as is_bought
from targets as t join lines as l on t.user_id = l.user_id and t.orders_back < l.order_age
group by l.user_id, l.product_id, t.orders_back;

create table ftr_products as
with counted as (
    select
        product_id, count(*) as orders, sum(reordered) as reorders,
        count(*) filter (purchase_number = 1) as buyers, count(*) filter (purchase_number = 2) as repeat_buyers,
        count(*) filter (is_followed) as followed, count(*) filter (previous_age = order_age + 1) as repeats,
        avg(add_to_cart_order) as mean_cart_position, count(*) filter (is_in_sample) as sampled,
        count(*) filter (is_in_sample and reordered = 0) as sampled_first,
        count(*) filter (is_in_sample and is_followed) as sampled_followed
    from lines where is_in_statistics group by product_id
),
overall as (
    select
        sum(reorders) / sum(orders) as reorder_share, sum(repeat_buyers) / sum(buyers) as repeat_buyer_share,
        sum(repeats) / sum(followed) as next_order_share
    from counted
)
select
    product_id, aisle_id,
    coalesce(orders, 0) as order_count, coalesce(orders - reorders, 0) as first_purchase_count,
    (coalesce(reorders, 0) + 10 * overall.reorder_share) / (coalesce(orders, 0) + 10) as reorder_share,
    (coalesce(repeat_buyers, 0) + 10 * overall.repeat_buyer_share) / (coalesce(buyers, 0) + 10) as repeat_buyer_share,
    (coalesce(repeats, 0) + 10 * overall.next_order_share) / (coalesce(followed, 0) + 10) as next_order_share,
    orders / nullif(buyers, 0) as orders_per_buyer, mean_cart_position,
    coalesce(sampled, 0) as sampled_order_count, coalesce(sampled_first, 0) as sampled_first_purchase_count,
    coalesce(sampled_followed, 0) as sampled_followed_count
from marts.instacart.products left join counted using (product_id) cross join overall;

create table ftr_user_aisles as
with baskets as (
    select
        user_id, aisle_id, order_age, count(*) as lines, count(*) filter (purchase_number = 1) as products
    from lines where order_age is not null group by all
),
found as (
    select
        t.user_id, aisle_id, t.orders_back, sum(lines) as line_count, count(*) as order_count,
        sum(products) as product_count, min(order_age) - t.orders_back as orders_since_last
    from targets as t join baskets as b on t.user_id = b.user_id and t.orders_back < b.order_age
    group by t.user_id, aisle_id, t.orders_back
),
aisles as (select aisle_id, sum(first_purchase_count) + 1 as purchases from ftr_products group by aisle_id)
select
    found.*,
    (product_count + 15 * purchases / total) * total
    / (sum(product_count) over (partition by user_id, orders_back) + 15) / purchases as taste
from found join aisles using (aisle_id), (select sum(purchases) as total from aisles);

create table ftr_product_pairs as
with sampled as (
    select
        order_id, user_id, order_age, product_id, reordered, is_followed,
        row_number() over (partition by order_id order by add_to_cart_order, product_id) as step
    from lines where is_in_sample
),
kept as (select product_id, sampled_order_count from ftr_products where sampled_order_count >= $pair_product_orders),
steps as (select sampled.* from sampled semi join kept using (product_id)),
together as (
    select
        a.product_id, b.product_id as other_product_id, count(*) as orders_with_both,
        count(*) filter (b.reordered = 0) as first_purchases_with, count(*) filter (b.step = a.step + 1) as next_in_cart
    from steps as a join steps as b on a.order_id = b.order_id and a.product_id <> b.product_id
    group by all
),
after as (
    select a.product_id, b.product_id as other_product_id, count(*) as first_purchases_after
    from steps as a
    join (select lines.* from lines semi join kept using (product_id) where reordered = 0) as b
        on a.user_id = b.user_id and a.order_age - 1 = b.order_age and a.product_id <> b.product_id
    where a.is_followed
    group by all
),
pairs as (
    select
        product_id, other_product_id, coalesce(orders_with_both, 0) as orders_with_both,
        coalesce(first_purchases_with, 0) as first_purchases_with,
        coalesce(first_purchases_after, 0) as first_purchases_after, coalesce(next_in_cart, 0) as next_in_cart
    from together full join after using (product_id, other_product_id)
)
select
    pairs.*,
    orders_with_both * (select count(*) from orders where is_in_sample)
    / (one.sampled_order_count * other.sampled_order_count) as lift
from pairs
join kept as one using (product_id)
join kept as other on other.product_id = other_product_id
qualify
    row_number() over (
        partition by pairs.product_id order by orders_with_both desc, next_in_cart desc, other_product_id
    ) <= $pairs_per_product
    or row_number() over (
        partition by pairs.product_id order by next_in_cart desc, orders_with_both desc, other_product_id
    ) <= $pairs_per_product
    or row_number() over (
        partition by pairs.product_id
        order by first_purchases_with + first_purchases_after desc, orders_with_both desc, other_product_id
    ) <= $pairs_per_product;

create table ftr_aisle_transitions as
with steps as (
    select
        aisle_id, lead(aisle_id) over (partition by order_id order by add_to_cart_order, product_id) as next_aisle_id
    from lines where is_in_sample
),
counted as (
    select a.aisle_id, b.aisle_id as next_aisle_id, coalesce(transitions, 0) as transition_count
    from marts.instacart.aisles as a cross join marts.instacart.aisles as b
    left join (select aisle_id, next_aisle_id, count(*) as transitions from steps group by all) as s
        on s.aisle_id = a.aisle_id and s.next_aisle_id = b.aisle_id
),
totalled as (
    select
        *, sum(transition_count) over (partition by aisle_id) as from_aisle,
        (sum(transition_count) over (partition by next_aisle_id) + 1)
        / (sum(transition_count) over () + count(*) over (partition by aisle_id)) as share
    from counted
)
select
    aisle_id, next_aisle_id, transition_count, from_aisle as aisle_transition_count,
    (transition_count + 20 * share) / (from_aisle + 20) / share as lift
from totalled;

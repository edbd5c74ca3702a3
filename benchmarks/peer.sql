-- The sixteen models of a public dbt project for the same files (peer.md names it), by its definitions and in SQL of our
-- own for DuckDB: five of staging, two in between, nine marts. Variable: instacart, the data folder.

create table stg_aisles as
select aisle_id, aisle as aisle_name
from read_csv(getvariable('instacart') || '/aisles.csv', header = true, columns = {'aisle_id': 'int', 'aisle': 'text'});

create table stg_departments as
select department_id, department as department_name
from read_csv(getvariable('instacart') || '/departments.csv', header = true,
    columns = {'department_id': 'int', 'department': 'text'});

create table stg_products as
from read_csv(getvariable('instacart') || '/products.csv', header = true, quote = '"', escape = '"',
    columns = {'product_id': 'int', 'product_name': 'text', 'aisle_id': 'int', 'department_id': 'int'});

create table stg_orders as
select * replace (days_since_prior_order::double as days_since_prior_order)
from read_csv(getvariable('instacart') || '/orders.csv', header = true,
    columns = {'order_id': 'int', 'user_id': 'int', 'eval_set': 'text', 'order_number': 'int', 'order_dow': 'int',
        'order_hour_of_day': 'int', 'days_since_prior_order': 'text'});

create table stg_order_products as
from read_csv([getvariable('instacart') || '/order_products__prior.csv',
    getvariable('instacart') || '/order_products__train.csv'], header = true,
    columns = {'order_id': 'int', 'product_id': 'int', 'add_to_cart_order': 'int', 'reordered': 'int'});

create table dim_products as
from stg_products inner join stg_aisles using (aisle_id) inner join stg_departments using (department_id);

create table int_order_item_enriched as
from stg_order_products inner join stg_orders using (order_id) inner join dim_products using (product_id);

create table fact_order_items as
select * exclude (product_name, aisle_name, department_name, eval_set) from int_order_item_enriched;

-- Orders without lines have a basket of 0 and a share of 0, and count in every mean.
create table dim_orders as
select
    stg_orders.*,
    count(product_id) as basket_size,
    coalesce(sum(reordered), 0) as reordered_items,
    coalesce(avg(reordered), 0)::decimal(10, 4) as order_reorder_rate
from stg_orders
left join stg_order_products using (order_id)
group by all;

create table int_customer_order_history as
select
    user_id,
    count(*) as total_orders,
    min(order_number) as first_order_number,
    max(order_number) as latest_order_number,
    arg_min(order_id, order_number) as first_order_id,
    arg_max(order_id, order_number) as latest_order_id,
    sum(basket_size) as total_items_purchased,
    avg(basket_size)::decimal(10, 2) as avg_basket_size,
    sum(reordered_items) as total_reordered_items,
    avg(days_since_prior_order)::decimal(10, 2) as avg_days_since_prior_order,
    arg_max_null(days_since_prior_order, order_number) as latest_days_since_prior_order,
    min(order_hour_of_day) as earliest_order_hour,
    max(order_hour_of_day) as latest_order_hour
from dim_orders
group by user_id;

create table dim_customers as
select
    *,
    coalesce(total_reordered_items / nullif(total_items_purchased::double, 0), 0)::decimal(10, 4)
        as customer_reorder_rate
from int_customer_order_history;

create table mart_product_performance as
select
    dim_products.product_id,
    product_name,
    aisle_name,
    department_name,
    count(fact_order_items.product_id) as total_order_items,
    count(distinct order_id) as distinct_orders,
    count(distinct user_id) as distinct_customers,
    avg(reordered)::decimal(10, 4) as reorder_rate
from dim_products
left join fact_order_items using (product_id)
group by all;

create table mart_executive_kpis as
select
    (select count(*) from dim_orders) as total_orders,
    (select count(*) from dim_customers) as total_customers,
    (select count(*) from dim_products) as total_products,
    count(*) as total_order_items,
    avg(reordered)::decimal(10, 4) as reorder_rate,
    (select avg(basket_size)::decimal(10, 2) from dim_orders) as average_basket_size,
    (select avg(total_orders)::decimal(10, 2) from dim_customers) as average_orders_per_customer,
    count(distinct department_id) as active_departments,
    (
        select department_name from fact_order_items inner join stg_departments using (department_id)
        group by department_name order by count(*) desc, department_name limit 1
    ) as top_department_by_items
from fact_order_items;

-- The segment is the sum of four fifths of the users; ties are broken by the number of the user.
create table mart_customer_segments as
with scored as (
    select
        user_id, total_orders, total_items_purchased, avg_basket_size, customer_reorder_rate,
        ntile(5) over (order by total_orders, user_id) as frequency_score,
        ntile(5) over (order by avg_basket_size, user_id) as basket_size_score,
        ntile(5) over (order by customer_reorder_rate, user_id) as reorder_score,
        6 - ntile(5) over (order by coalesce(latest_days_since_prior_order, 999999), user_id) as recency_proxy_score
    from dim_customers
)
select
    *,
    frequency_score + basket_size_score + reorder_score + recency_proxy_score as behavioral_score,
    case
        when behavioral_score >= 17 then 'High Engagement'
        when behavioral_score >= 13 then 'Loyal Routine'
        when frequency_score <= 2 and recency_proxy_score <= 2 then 'At Risk'
        when frequency_score <= 2 and total_orders <= 3 then 'Early Lifecycle'
        else 'Moderate Engagement'
    end as behavioral_segment
from scored;

-- Products in 1,000 orders and pairs in 100, whatever the number of orders. A product is in an order once, so that rows
-- are counted where the definition counts distinct orders.
create table mart_basket_affinity as
with eligible as (
    select product_id, count(*) as orders from fact_order_items group by product_id having orders >= 1000
),
lines as (
    select order_id, product_id from fact_order_items semi join eligible using (product_id)
),
pairs as (
    select a.product_id as product_a_id, b.product_id as product_b_id, count(*) as orders_with_both
    from lines as a inner join lines as b using (order_id)
    where a.product_id < b.product_id
    group by all
    having orders_with_both >= 100
)
select
    product_a_id, product_b_id, a.orders as orders_with_a, b.orders as orders_with_b, orders_with_both,
    (orders_with_both / total.n)::decimal(10, 6) as support,
    (orders_with_both / a.orders)::decimal(10, 6) as confidence_a_to_b,
    (orders_with_both / a.orders / (b.orders / total.n))::decimal(10, 6) as lift
from pairs
inner join eligible as a on product_a_id = a.product_id
inner join eligible as b on product_b_id = b.product_id
cross join (select count(*) as n from dim_orders) as total;

create table mart_cohort_retention as
with activity as (
    select user_id, order_number - min(order_number) over (partition by user_id) as order_sequence_index from dim_orders
)
select
    order_sequence_index,
    order_sequence_index + 1 as observed_order_number,
    any_value(total.n) as starting_customers,
    count(distinct user_id) as active_customers,
    (count(distinct user_id) / any_value(total.n))::decimal(10, 4) as retention_rate
from activity
cross join (select count(*) as n from dim_customers) as total
where order_sequence_index between 0 and 20
group by order_sequence_index;

"""Figures of how people shop, by which made-up data are compared with the real ones.

`REAL` holds the figures of the real data by name, its values in the order that the name gives; `measure` computes them
of any data set in the official format. `test_generator.py` compares the generator's output with them and, where real
extracts are at hand, these too.
"""

import duckdb

# Published, or counted in the complete published files of 206,209 users.
PUBLISHED = {
    "share of gaps of 0, 7, 14, 30 days": [0.021, 0.100, 0.031, 0.114],
    "share of orders by day of week": [0.174, 0.168, 0.138, 0.129, 0.124, 0.135, 0.132],
    "reordered in pantry, produce": [0.347, 0.650],
}
# Measured on the whole histories of 592 users; 400 users with 10 or more orders each show about the same.
HISTORIES = {
    "first-time items in the user's top 3 aisles, departments, times chance": [1.46, 1.20],
    "bought again 1, 2, 3, 6 orders after the last time": [0.287, 0.184, 0.130, 0.066],
    "bought after a streak of 1, 2, 3, 6 orders": [0.197, 0.408, 0.543, 0.723],
    "bought again after 10 or more times": [0.544],
    "spread of the products' re-buy rates": [0.153],
    "Jaccard similarity of neighbouring orders": [0.185],
    "cart neighbours that were neighbours before": [0.228],
    "reordered at cart position 1, 5, 10, 15": [0.723, 0.623, 0.561, 0.519],
    "gap of 7 days after one of 7 days": [0.258],
    "spread of the hour within a user": [3.59],
    "share of first-time items in order 2, 3, 5, 10, 20, 40": [0.719, 0.601, 0.469, 0.335, 0.230, 0.208],
}
# Measured on 40,000 last carts, of as many users.
CARTS = {
    "lift of the 1,000 commonest pairs, quantiles .1, .5, .9, .99": [1.42, 2.26, 3.72, 10.0],
    "pairs of the same aisle, department, times chance": [1.86, 1.40],
    "cart neighbours of the same aisle": [0.152],
}
REAL = PUBLISHED | HISTORIES | CARTS

# Habits are measured on users with 10 or more orders, and on as many as the real ones are: the more users, the rarer
# the products with 60 purchases, whose re-buy rates are compared.
_USERS = 592
_PREPARATION = f"""
create or replace temp table history_orders as
select
    user_id::integer as user_id,
    order_id::integer as order_id,
    order_number::integer as order_number,
    order_dow::integer as order_dow,
    order_hour_of_day::integer as order_hour_of_day,
    days_since_prior_order::double as gap,
    max(order_number::integer) over (partition by user_id) as order_count
from orders;

create or replace temp table lines as
select
    history_orders.user_id,
    history_orders.order_id,
    history_orders.order_number,
    history_orders.order_count,
    products.product_id::integer as product_id,
    aisle_id::integer as aisle_id,
    department_id::integer as department_id,
    add_to_cart_order::integer as position,
    reordered::integer as reordered
from order_products
inner join history_orders on order_products.order_id::integer = history_orders.order_id
inner join products on order_products.product_id = products.product_id;

create or replace temp table history_lines as
from lines
where user_id in (
    select user_id from history_orders where order_count >= 10 group by user_id order by user_id limit {_USERS}
);

-- One row per purchase, with the user's next purchase of the product and how many orders in a row hold it so far.
create or replace temp table purchases as
with runs as (
    select
        user_id,
        product_id,
        aisle_id,
        department_id,
        order_number,
        max(order_number) over (partition by user_id) as last_order,
        order_number - row_number() over (partition by user_id, product_id order by order_number) as run
    from history_lines
)
select
    *,
    row_number() over (partition by user_id, product_id order by order_number) as times,
    row_number() over (partition by user_id, product_id, run order by order_number) as streak,
    lead(order_number) over (partition by user_id, product_id order by order_number) as next_order
from runs;
"""

# All carts of a user weigh together as one: what one cart of each user gives on average, with less chance in it. So
# 5,000 generated users give about the same lifts as one cart each of 40,000.
_PAIRS = """
create or replace temp table carts as
select
    *,
    1.0::double / count(distinct order_id) over (partition by user_id) as weight
from lines;

create or replace temp table pairs as
select
    first.product_id,
    second.product_id as other_product_id,
    sum(first.weight) as carts
from carts as first
inner join carts as second on first.order_id = second.order_id and first.product_id < second.product_id
group by all;
"""

_LIFTS = """
with sizes as (select product_id, sum(weight) as carts from carts group by product_id),
users as (select count(distinct user_id) as users from carts),
commonest as (from pairs order by carts desc, product_id, other_product_id limit 1000)
select unnest(quantile_cont(commonest.carts * users / (sizes.carts * others.carts), [0.1, 0.5, 0.9, 0.99]))
from commonest
inner join sizes on commonest.product_id = sizes.product_id
inner join sizes as others on commonest.other_product_id = others.product_id
cross join users
"""

# Chance: two items drawn from all.
_SAME = """
with shares as (select {level}, sum(weight) / (select sum(weight) from carts) as share from carts group by {level}),
counts as (select order_id, {level}, any_value(weight) as weight, count(*) as n from carts group by order_id, {level}),
sizes as (
    select order_id, any_value(weight) as weight, sum(n) as n, sum(n * (n - 1)) as same from counts group by order_id
)
select sum(weight * same) / sum(weight * n * (n - 1)) / (select sum(share * share) from shares)
from sizes
"""

# A user's top 3 are those of the first purchases in orders 1 to 5; the items are first purchases in later orders.
# Chance: each of them drawn from those of all users.
_FIRST_TIME = """
with firsts as (select user_id, {level}, order_number from purchases where times = 1),
counts as (select user_id, {level}, count(*) as n from firsts where order_number <= 5 group by all),
top as (from counts qualify row_number() over (partition by user_id order by n desc, {level}) <= 3),
later as (from firsts where order_number >= 6),
shares as (select {level}, count(*) / (select count(*) from later) as share from later group by {level}),
expected as (
    select sum(items * share) / sum(items) as share
    from (
        select user_id, any_value(items) as items, sum(share) as share
        from (select user_id, count(*) as items from later group by user_id)
        inner join top using (user_id)
        inner join shares using ({level})
        group by user_id
    )
)
select avg((top.user_id is not null)::integer) / (select share from expected)
from later
left join top using (user_id, {level})
"""

_QUERIES = {
    "share of gaps of 0, 7, 14, 30 days": """
        select unnest([avg((gap = 0)::integer), avg((gap = 7)::integer), avg((gap = 14)::integer),
            avg((gap = 30)::integer)])
        from history_orders where gap is not null""",
    "share of orders by day of week": """
        select count(*) / (select count(*) from history_orders)
        from history_orders group by order_dow order by order_dow""",
    "reordered in pantry, produce": """
        select avg(reordered)
        from lines where department_id in (13, 4) group by department_id order by department_id desc""",
    "bought again 1, 2, 3, 6 orders after the last time": """
        select sum((next_order = order_number + later)::integer)
            / sum((coalesce(next_order, last_order + 1) >= order_number + later)::integer)
        from purchases, (select unnest([1, 2, 3, 6]) as later)
        where order_number + later <= last_order group by later order by later""",
    "bought after a streak of 1, 2, 3, 6 orders": """
        select avg((coalesce(next_order, 0) = order_number + 1)::integer)
        from purchases where order_number < last_order and streak in (1, 2, 3, 6) group by streak order by streak""",
    "bought again after 10 or more times": """
        select avg((coalesce(next_order, 0) = order_number + 1)::integer)
        from purchases where order_number < last_order and times >= 10""",
    "spread of the products' re-buy rates": """
        select stddev_pop(rate) from (
            select avg((coalesce(next_order, 0) = order_number + 1)::integer) as rate
            from purchases where order_number < last_order group by product_id having count(*) >= 60)""",
    "Jaccard similarity of neighbouring orders": """
        with sizes as (select user_id, order_number, count(*) as n from history_lines group by all),
        common as (
            select user_id, order_number, count(*) as n from purchases where next_order = order_number + 1 group by all)
        select avg(coalesce(common.n, 0) / (one.n + next.n - coalesce(common.n, 0)))
        from sizes as one
        inner join sizes as next on one.user_id = next.user_id and one.order_number + 1 = next.order_number
        left join common on one.user_id = common.user_id and one.order_number = common.order_number""",
    "cart neighbours that were neighbours before": """
        with neighbours as (
            select first.user_id, first.order_number, first.product_id, second.product_id as next_product_id
            from history_lines as first
            inner join history_lines as second
                on first.order_id = second.order_id and first.position + 1 = second.position
            where first.reordered = 1 and second.reordered = 1)
        select avg((number > 1)::integer) from (
            select row_number() over (
                partition by user_id, product_id, next_product_id order by order_number) as number
            from neighbours)""",
    "reordered at cart position 1, 5, 10, 15": """
        select avg(reordered) from lines where position in (1, 5, 10, 15) group by position order by position""",
    "gap of 7 days after one of 7 days": """
        select avg((gap = 7)::integer) from (
            select gap, lag(gap) over (partition by user_id order by order_number) as last_gap from history_orders)
        where last_gap = 7""",
    "spread of the hour within a user": """
        select avg(spread) from (
            select stddev_pop(order_hour_of_day) as spread
            from history_orders where order_count >= 10 group by user_id)""",
    "share of first-time items in order 2, 3, 5, 10, 20, 40": """
        select avg(1 - reordered) from history_lines
        where order_number in (2, 3, 5, 10, 20, 40) group by order_number order by order_number""",
    "lift of the 1,000 commonest pairs, quantiles .1, .5, .9, .99": _LIFTS,
    "pairs of the same aisle, department, times chance": (
        f"({_SAME.format(level='aisle_id')}) union all ({_SAME.format(level='department_id')})"
    ),
    "cart neighbours of the same aisle": """
        select sum(first.weight * (first.aisle_id = second.aisle_id)::integer) / sum(first.weight)
        from carts as first
        inner join carts as second on first.order_id = second.order_id and first.position + 1 = second.position""",
    "first-time items in the user's top 3 aisles, departments, times chance": (
        f"({_FIRST_TIME.format(level='aisle_id')}) union all ({_FIRST_TIME.format(level='department_id')})"
    ),
}


def measure(connection: duckdb.DuckDBPyConnection) -> dict[str, list[float]]:
    """Return each figure of `REAL` as measured on the tables `orders`, `order_products` and `products`.

    These have the columns of the official files; values may be text.
    """
    connection.execute(_PREPARATION)
    connection.execute(_PAIRS)
    return {figure: [value for (value,) in connection.execute(_QUERIES[figure]).fetchall()] for figure in REAL}

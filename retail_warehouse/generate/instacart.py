"""Made-up Instacart data in the official format, at any scale.

What the numbers are tuned to: the published figures of "The Instacart Online Grocery Shopping Dataset 2017", and
aggregate figures of how its users shop (tests/python/shared/shopping_behaviour.py).

A user's orders are spaced by a rhythm (`_ORDERS`). In each, the user finds some products, mostly new ones, at shelves
of a personal taste (`_DISCOVERIES`); what has been found becomes a habit of its own strength, which lapses and may
return (`_LINES`). Nothing is simulated step by step: whether a habit is due in an order depends on nothing but draws
for this user, product and order, so that all orders are computed at once.
"""

import math
from collections.abc import Callable
from pathlib import Path

import duckdb

from retail_warehouse.generate import draws
from retail_warehouse.official import INSTACART

FULL_SIZE_PRODUCTS = 49_688
USERS_PER_BATCH = 5_000
# The store is a row of shelves, of which each aisle has as many as it has first purchases.
SHELVES = 8_192
# The bundled sample in seeds/samples/instacart.
FILES = tuple(INSTACART)

_HERE = Path(__file__).parent

# Names that exercise what the official product file holds; each stands in every generated data set.
SPECIAL_PRODUCT_NAMES = (
    "Salt, Pepper & Garlic Grinder",
    'Brick Oven 12" Pizza',
    'Cut Russet Potatoes Steam N\\" Mash',
    "Crème Fraîche à l'Échalote",
    "Sparkling\N{NO-BREAK SPACE}Elderflower Pressé",
    "Chili Con Carne",
    "CHILI CON CARNE",
    "Whole Grain Twelve Seed Sandwich Bread with Sunflower, Pumpkin, Flax, Sesame, Poppy, Chia, Hemp, Millet, Quinoa, "
    "Amaranth, Teff & Caraway, Thick Sliced, 24 oz",
)

# Each macro is one trait of how people shop; the comment names the figures that it is for.
_MACROS = """
-- Popularity is long-tailed (Zipf-Mandelbrot): the share of the product at a place of its aisle, counted from 0, is
-- about proportional to 1 / (place + head). `u` is in [0, 1).
create macro popular_place(u, products, head) as floor(head * (pow(1 + products / head, u) - 1))::integer;

-- Of two neighbours in popularity, one is organic, say, and the other is not; most of what a user finds is of the
-- user's own style (lift of the commonest pairs).
create macro in_style(user_id, order_number, place, place_in_aisle, products) as if(
    draw('style', user_id, order_number, place) < 0.6,
    least(place_in_aisle // 2 * 2 + (draw('style', user_id, 0, 0) < 0.5)::integer, products - 1),
    place_in_aisle
);

-- The shelf where the user stops. A user has favourite shelves, the first ones more so than later ones (first purchases
-- in the user's top aisles); with a `freshness` above 1 they lie towards the fresh end of the store, which is where the
-- commonest products are (lift of the commonest pairs, pairs of one department).
create macro liked_shelf(user_id, freshness, order_number, stop) as floor({shelves} * pow(
    draw('shelf', user_id, floor(-110 * ln(1 - draw('taste', user_id, order_number, stop)))::integer, 0), freshness
))::integer;

-- How likely the user is to buy the product again in an order while the habit lasts: for most hardly, for some nearly
-- always (bought after a streak). The distribution is Kumaraswamy's, which is near to a beta distribution.
create macro strength(user_id, family_id, appeal) as
    pow(1 - pow(1 - draw('strength', user_id, family_id, 0), appeal), 1.7);

-- For how many orders a habit lasts, or rests, in a row, and whether it lasts in phase 0, 1, ... since the first
-- purchase (bought again so many orders after the last time).
create macro phase_length(user_id, family_id) as 4 + floor(16 * draw('phase', user_id, family_id, -1))::integer;
create macro is_alive(user_id, family_id, phase) as phase = 0 or draw('phase', user_id, family_id, phase) < 0.5;

-- The part of the user's shopping list on which a product stands: some products stand with others of their aisle, the
-- rest anywhere (cart neighbours of the same aisle, cart neighbours that were neighbours before).
create macro list_part(user_id, aisle_id, family_id) as floor(11 * if(
    draw('by aisle', user_id, family_id, 0) < 0.3,
    draw('list', user_id, aisle_id, 1),
    draw('list', user_id, family_id, 0)
))::integer;
-- Where that part comes in a cart: each user has an order of parts, more or less kept to.
create macro list_place(user_id, order_number, part) as
    0.7 * draw('part', user_id, order_number, part) + 0.3 * draw('part', user_id, 0, part);
"""

# Names are spelt from the digits of the product's place in its aisle, so that no two are equal and the first,
# most popular ones are short.
_PRODUCTS = """
create table products as
with words as (
    select
        ['', 'Organic', 'Fresh', 'Natural', 'Classic', 'Premium', 'Traditional', 'Homestyle', 'Farmhouse', 'Artisan',
         'Light', 'Extra', 'Pure', 'Golden', 'Country', 'Gluten Free', 'Rustic', 'Heirloom', 'Select', 'Original'
        ] as qualities,
        ['', 'Family Size', 'Unsalted', 'No Sugar Added', 'Low Sodium', 'Value Pack', 'Mini', 'With Lemon', 'Vanilla',
         'Honey', 'Roasted', 'Jalapeño', 'Double Strength', 'Single Serve', 'With Sea Salt', 'Coconut', 'Spicy',
         'Reduced Fat', 'Wild', '2 Pack', '100% Recycled', 'Rosé', 'Bite Size', 'Sweet & Sour'] as variants,
        ['', 'Harbor Lane', 'Golden Acre', 'Chef''s Own', 'Maison Élan', 'Señora Paz', 'Blue Barn', 'Little Orchard',
         'Granny Mae''s', 'North Pier', 'Häusli', 'Casa Verde', 'Old Mill', 'Sunny Ridge', 'Three Pines', 'Fjord & Co',
         'River Stone', 'Nonna Lucía', 'Green Gate', 'Daybreak', 'Copper Kettle', 'Wildwood', 'Petite Crêperie',
         'Tidewater', 'Uncle Ray''s', 'São Bento', 'Lakeside', 'Prairie Moon', 'Red Lantern', 'Simple Pantry'] as brands
),
aisles as (
    select aisle_id, department_id, weight, has_flavours, string_split(goods, ';') as goods
    from read_csv('{here}/aisles.csv')
),
departments as (
    select department_id, weight, reordered from read_csv('{here}/departments.csv')
),
-- An aisle has its share of its department's sales; the earlier a product stands in its aisle, the more it sells.
places as (
    select
        aisles.aisle_id,
        aisles.department_id,
        aisles.goods,
        departments.weight * aisles.weight
            / sum(aisles.weight) over (partition by aisles.department_id) as aisle_weight,
        unnest(range({products})) as place
    from aisles
    inner join departments using (department_id)
),
ranked as (
    select *, row_number() over (order by pow(place + 1, 0.8) / pow(aisle_weight, 0.6), aisle_id) as popularity_rank
    from places
    qualify popularity_rank <= {products} - {specials}
),
spelt as (
    select
        popularity_rank,
        aisle_id,
        department_id,
        goods[1 + place % len(goods)] as good,
        qualities[1 + (place // len(goods)) % len(qualities)] as quality,
        variants[1 + (place // (len(goods) * len(qualities))) % len(variants)] as variant,
        brands[1 + (place // (len(goods) * len(qualities) * len(variants))) % len(brands)] as brand
    from ranked, words
),
named as (
    select
        popularity_rank,
        trim(concat_ws(' ', nullif(brand, ''), nullif(quality, ''), good)) || case
            when variant = '' then ''
            when draw('comma', popularity_rank, 0, 0) < 0.5 then ', ' || variant
            else ' ' || variant
        end || case when draw('inch', popularity_rank, 0, 0) < 0.003 then ' N\\" More' else '' end as product_name,
        aisle_id,
        department_id
    from spelt
    union all
    select {products} - {specials} + place, name, 100, 21
    from (select unnest(range(1, {specials} + 1)) as place, unnest($names) as name)
),
placed as (
    select
        *,
        -- The number of a product says nothing about its popularity.
        row_number() over (order by draw('product_id', popularity_rank, 0, 0), popularity_rank)::integer as product_id,
        (row_number() over (partition by aisle_id order by popularity_rank) - 1)::integer as place
    from named
)
select
    product_id,
    product_name,
    placed.aisle_id,
    placed.department_id,
    place,
    -- In aisles with flavours, four neighbours in popularity are flavours of one thing, and one habit.
    if(has_flavours, -20000 * placed.aisle_id - place // 4, product_id) as family_id,
    -- What is bought again: as often as is published for its department, popular products more than others of their
    -- aisle, and some by nature (reordered in pantry and produce, spread of the products' re-buy rates).
    departments.reordered / (1 - departments.reordered)
        * pow(place + 1, -0.08)
        * exp(0.4 * bell('appeal', popularity_rank, 0)) as appeal
from placed
inner join departments using (department_id)
inner join aisles using (aisle_id)
"""

# Aisles stand as a shopper passes them, from fresh food to what keeps (`way`). Each has a share of the shelves that is
# its share of first purchases: of its sales, what is not bought again.
_SHELVES = """
create table shelves as
with aisles as (
    select aisle_id, department_id, weight, has_flavours from read_csv('{here}/aisles.csv')
),
departments as (
    select department_id, weight, reordered, way, head from read_csv('{here}/departments.csv')
),
counted as (
    select aisle_id, count(*) as products from products group by aisle_id
),
weighed as (
    select
        aisle_id,
        has_flavours,
        way,
        head,
        products,
        departments.weight * (1 - reordered)
            * aisles.weight / sum(aisles.weight) over (partition by department_id) as first_purchases
    from aisles
    inner join departments using (department_id)
    inner join counted using (aisle_id)
),
stretches as (
    select *, sum(first_purchases) over (order by way, aisle_id rows unbounded preceding) as stretch_end
    from weighed
),
places as (
    select shelf, (shelf + 0.5) / {shelves} * (select max(stretch_end) from stretches) as place
    from (select unnest(range({shelves}))::integer as shelf)
)
select
    shelf,
    aisle_id,
    has_flavours,
    products,
    head,
    -- The most popular of the four products that are to be found here.
    popular_place((place - stretch_end + first_purchases) / first_purchases, products, head) // 4 * 4 as family_place
from places
inner join stretches on place >= stretch_end - first_purchases and place < stretch_end
"""

_USERS = """
create table users as
with counted as (
    select
        user_id,
        least(100, 3 + ceil(12.4 * pow(-ln(1 - draw('orders', user_id, 0, 0)), 1.15)))::integer as order_count
    from (select unnest(range(1, {users} + 1))::integer as user_id)
)
select
    user_id,
    order_count,
    (sum(order_count) over (order by user_id rows unbounded preceding) - order_count)::bigint as orders_before,
    -- Rhythm: the more orders, the shorter the gaps, since all fall within about a year.
    least(2 + 40 * draw('gap', user_id, 0, 0), 400.0 / order_count) as usual_gap,
    usual_gap between 4 and 14 and draw('weekly', user_id, 0, 0) < 0.33 as shops_weekly,
    13.5 + 2.5 * bell('hour', user_id, 0) as usual_hour,
    7.4 * exp(0.57 * bell('basket', user_id, 0)) as usual_basket,
    exp(0.4 * bell('loyalty', user_id, 0)) as loyalty,
    exp(0.6 * bell('freshness', user_id, 0)) as freshness,
    draw('eval_set', user_id, 0, 0) < 0.6364 as ends_in_train
from counted
"""

_ORDERS = """
create or replace temp table batch_orders as
with numbered as (
    select *, unnest(range(1, order_count + 1))::integer as order_number
    from users
    where user_id between {first} and {last}
),
spaced as (
    select
        *,
        case
            when order_number = 1 then 0
            when shops_weekly and draw('snap', user_id, order_number, 0) < 0.35
                then if(draw('gap', user_id, order_number, 1) < 0.85, 7, 14)
            else round(1.07 * usual_gap * pow(-ln(1 - draw('gap', user_id, order_number, 2)), 0.8))
        end::integer as gap,
        -- Some orders are large, others small, of new and of usual products alike.
        exp(0.4 * bell('basket', user_id, order_number)) as appetite
    from numbered
)
select
    user_id,
    order_number,
    order_count,
    1 + ((orders_before + order_number - 1) * {stride} + {offset}) % {orders} as order_id,
    case
        when order_number < order_count then 'prior'
        when ends_in_train then 'train'
        else 'test'
    end as eval_set,
    (
        floor(7 * pow(draw('dow', user_id, 0, 0), 1.3))::integer
        + sum(gap) over (partition by user_id order by order_number rows unbounded preceding)
    ) % 7 as order_dow,
    (floor(usual_hour + 3.6 * bell('hour', user_id, order_number))::integer + 48) % 24 as order_hour_of_day,
    case when order_number > 1 then least(gap, 30) end as days_since_prior_order,
    appetite,
    freshness,
    -- How many products the user finds: fewer and fewer new ones, so that the habits that they become fill the rest.
    case
        when order_number = 1 then greatest(1, round(1.2 * usual_basket * appetite))
        else floor(
            usual_basket * appetite * least(1, 1.1 * pow(order_number, -0.45) / loyalty)
            + draw('discoveries', user_id, order_number, 0)
        )
    end::integer as discoveries
from spaced
"""

# A user who finds one thing at a shelf may stay for the next (pairs of one aisle, cart neighbours of one aisle), which
# may be another flavour of it (lift of the commonest pairs).
_DISCOVERIES = """
create or replace temp table batch_discoveries as
with places as (
    select user_id, order_number, freshness, unnest(range(1, discoveries + 1))::integer as place
    from batch_orders
    where eval_set <> 'test'
),
stops as (
    select
        *,
        sum((place = 1 or draw('stop', user_id, order_number, place) < 0.75)::integer) over (
            partition by user_id, order_number order by place rows unbounded preceding
        )::integer as stop
    from places
),
aimed as (
    select *, liked_shelf(user_id, freshness, order_number, stop) as shelf
    from stops
),
found as (
    select
        user_id,
        order_number,
        aimed.place,
        stop,
        aisle_id,
        case
            when draw('same', user_id, order_number, aimed.place) < if(has_flavours, 0.71, 0.35)
                then least(
                    family_place + floor(4 * pow(draw('flavour', user_id, order_number, aimed.place), 1.5))::integer,
                    products - 1
                )
            else in_style(user_id, order_number, aimed.place,
                popular_place(draw('product', user_id, order_number, aimed.place), products, head), products)
        end as place_in_aisle
    from aimed
    inner join shelves using (shelf)
)
select user_id, order_number, found.place, stop, product_id, family_id, appeal
from found
inner join products on found.aisle_id = products.aisle_id and place_in_aisle = products.place
"""

_LINES = """
insert into lines
with pairs as (
    select
        user_id,
        product_id,
        any_value(family_id) as family_id,
        any_value(appeal) as appeal,
        min(order_number) as first_order
    from batch_discoveries
    group by user_id, product_id
),
-- What a user buys first, the user needs most.
habits as (
    select
        user_id,
        product_id,
        family_id,
        first_order,
        order_count,
        phase_length(user_id, family_id) as phase_length,
        strength(user_id, family_id, 0.51 * appeal * loyalty * pow(first_order, -0.36)) as strength
    from pairs
    inner join users using (user_id)
    where first_order < order_count
),
phases as (
    select *, unnest(range(0, 1 + (order_count - first_order - 1) // phase_length))::integer as phase
    from habits
    where strength > 0.01
),
due as (
    select
        user_id,
        product_id,
        family_id,
        strength,
        unnest(range(
            first_order + phase * phase_length + 1,
            least(first_order + (phase + 1) * phase_length, order_count) + 1
        ))::integer as order_number
    from phases
    where is_alive(user_id, family_id, phase)
),
bought as (
    select user_id, order_number, product_id, null as stop, null as place
    from due
    inner join batch_orders using (user_id, order_number)
    where
        eval_set <> 'test'
        and draw('again', user_id, family_id, order_number) < 1 - pow(1 - strength, appetite)
    union all
    select user_id, order_number, product_id, stop, place
    from batch_discoveries
),
-- An order for which nothing is due holds the first product that the user ever found.
never_empty as (
    from bought
    union all
    select batch_orders.user_id, batch_orders.order_number, firsts.product_id, null, null
    from batch_orders
    anti join bought using (user_id, order_number)
    inner join batch_discoveries as firsts
        on batch_orders.user_id = firsts.user_id and firsts.order_number = 1 and firsts.place = 1
    where eval_set <> 'test'
),
-- A product may be due and found, or found twice.
distinct_products as (
    select user_id, order_number, product_id, min(stop) as stop, min(place) as place
    from never_empty
    group by user_id, order_number, product_id
)
select
    order_id,
    product_id,
    -- Usual products go into the cart by the user's list, what is found meanwhile tends to come later.
    row_number() over (
        partition by order_id
        order by
            if(
                stop is null,
                list_place(user_id, order_number, list_part(user_id, aisle_id, family_id)),
                0.2 + draw('stop place', user_id, order_number, stop)
            ),
            stop,
            if(stop is null, draw('list', user_id, product_id, 2), distinct_products.place),
            product_id
    )::smallint as add_to_cart_order,
    (order_number > min(order_number) over (partition by user_id, product_id))::tinyint as reordered,
    eval_set = 'train' as is_train
from distinct_products
inner join batch_orders using (user_id, order_number)
inner join products using (product_id)
"""


def batch_count(users: int) -> int:
    """Return the number of batches in which `users` users are generated."""
    return math.ceil(users / USERS_PER_BATCH)


def product_count(users: int) -> int:
    """Return the number of products for `users` users: the full catalogue from 3,313 users on."""
    return min(FULL_SIZE_PRODUCTS, 15 * users + 100)


def generate(users: int, seed: int, out: Path, on_batch: Callable[[], None] = lambda: None) -> dict[str, int]:
    """Write the six official files and return their row counts by file name.

    Files that are already there are replaced, each at once when all are complete; an interrupted run leaves them as
    they were.

    Args:
        users: number of users, at least 1; 206,209 is the size of the published data set.
        seed: any integer from 0; the same users and seed give the same bytes with the same version of DuckDB.
        out: folder for the files; made if missing.
        on_batch: called after each of `batch_count(users)` batches.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / ".generate.duckdb"
    scratch.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(scratch)) as connection:
            _shop(connection, users, seed, on_batch)
            rows = _write(connection, out)
    finally:
        scratch.unlink(missing_ok=True)
        scratch.with_name(scratch.name + ".wal").unlink(missing_ok=True)
    for file_name in FILES:
        (out / f".{file_name}.part").replace(out / file_name)
    return rows


def _shop(connection: duckdb.DuckDBPyConnection, users: int, seed: int, on_batch: Callable[[], None]) -> None:
    products = product_count(users)
    connection.execute("set enable_progress_bar = false")
    draws.create(connection, seed)
    connection.execute(_MACROS.format(shelves=SHELVES))
    connection.execute(
        _PRODUCTS.format(products=products, specials=len(SPECIAL_PRODUCT_NAMES), here=_HERE),
        {"names": list(SPECIAL_PRODUCT_NAMES)},
    )
    connection.execute(_SHELVES.format(shelves=SHELVES, here=_HERE))
    connection.execute(_USERS.format(users=users))
    [(orders,)] = connection.execute("select sum(order_count)::bigint from users").fetchall()
    # Order numbers are scattered over the users: multiplying by a number without a common divisor permutes them.
    stride = round(orders * 0.618)
    while math.gcd(stride, orders) != 1:
        stride += 1
    connection.execute(
        "create table orders (order_id integer, user_id integer, eval_set varchar, order_number smallint,"
        " order_dow tinyint, order_hour_of_day tinyint, days_since_prior_order tinyint)"
    )
    connection.execute(
        "create table lines (order_id integer, product_id integer, add_to_cart_order smallint, reordered tinyint,"
        " is_train boolean)"
    )
    for first in range(1, users + 1, USERS_PER_BATCH):
        last = min(first + USERS_PER_BATCH - 1, users)
        connection.execute(_ORDERS.format(first=first, last=last, orders=orders, stride=stride, offset=seed % orders))
        connection.execute(
            "insert into orders select order_id, user_id, eval_set, order_number, order_dow, order_hour_of_day,"
            " days_since_prior_order from batch_orders"
        )
        connection.execute(_DISCOVERIES)
        connection.execute(_LINES)
        on_batch()


def _write(connection: duckdb.DuckDBPyConnection, out: Path) -> dict[str, int]:
    lines = "select order_id, product_id, add_to_cart_order, reordered from lines where {} order by 1, 3"
    queries = {
        "aisles.csv": f"select aisle_id, aisle from read_csv('{_HERE}/aisles.csv') order by 1",
        "departments.csv": f"select department_id, department from read_csv('{_HERE}/departments.csv') order by 1",
        "products.csv": "select product_id, product_name, aisle_id, department_id from products order by 1",
        "orders.csv": (
            "select order_id, user_id, eval_set, order_number, order_dow,"
            " lpad(order_hour_of_day::varchar, 2, '0') as order_hour_of_day,"
            " days_since_prior_order || '.0' as days_since_prior_order"
            " from orders order by user_id, order_number"
        ),
        "order_products__prior.csv": lines.format("not is_train"),
        "order_products__train.csv": lines.format("is_train"),
    }
    rows = {}
    for file_name, query in queries.items():
        part = str(out / f".{file_name}.part").replace("'", "''")
        [(rows[file_name],)] = connection.execute(f"copy ({query}) to '{part}' (format csv, header)").fetchall()
    return rows

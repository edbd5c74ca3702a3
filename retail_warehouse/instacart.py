"""Made-up Instacart data in the official format, at any scale.

What the numbers are tuned to: the published figures of "The Instacart Online Grocery Shopping Dataset 2017".
"""

import math
from collections.abc import Callable
from pathlib import Path

import duckdb

from retail_warehouse import draws

FULL_SIZE_PRODUCTS = 49_688
USERS_PER_BATCH = 5_000
# The bundled sample in seeds/samples/instacart.
SAMPLE_USERS = 250
SAMPLE_SEED = 1
# Columns and number of rows of each complete official file.
OFFICIAL = {
    "aisles.csv": (("aisle_id", "aisle"), 134),
    "departments.csv": (("department_id", "department"), 21),
    "products.csv": (("product_id", "product_name", "aisle_id", "department_id"), 49_688),
    "orders.csv": (
        (
            "order_id",
            "user_id",
            "eval_set",
            "order_number",
            "order_dow",
            "order_hour_of_day",
            "days_since_prior_order",
        ),
        3_421_083,
    ),
    "order_products__prior.csv": (("order_id", "product_id", "add_to_cart_order", "reordered"), 32_434_489),
    "order_products__train.csv": (("order_id", "product_id", "add_to_cart_order", "reordered"), 1_384_617),
}
FILES = tuple(OFFICIAL)

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

_MACROS = """
-- Popularity is long-tailed (Zipf-Mandelbrot): the share of a product is proportional to 1 / (its rank + 10).
create macro popular_rank(user_id, place) as
    1 + floor(10 * (pow(1 + {products} / 10.0, draw('product', user_id, place, 0)) - 1))::integer;
-- How much the user likes the product: half taste of the user, half habit-forming nature of the product.
create macro affinity(user_id, place) as
    0.5 * draw('taste', user_id, place, 0) + 0.5 * draw('habit', popular_rank(user_id, place), 0, 0);
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
    select aisle_id, department_id, weight, string_split(goods, ';') as goods
    from read_csv('{here}/aisles.csv')
),
departments as (
    select department_id, weight from read_csv('{here}/departments.csv')
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
)
-- The number of a product says nothing about its popularity.
select
    row_number() over (order by draw('product_id', popularity_rank, 0, 0), popularity_rank)::integer as product_id,
    product_name,
    aisle_id,
    department_id,
    popularity_rank::integer as popularity_rank
from named
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
    least(3 + 24 * draw('gap', user_id, 0, 0), 400.0 / order_count) as usual_gap,
    draw('weekly', user_id, 0, 0) < 0.4 as shops_weekly,
    13.5 + 3 * bell('hour', user_id, 0) as usual_hour,
    8.5 * exp(0.5 * bell('basket', user_id, 0)) as usual_basket,
    0.55 + 0.9 * draw('novelty', user_id, 0, 0) as novelty,
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
            when shops_weekly and draw('snap', user_id, order_number, 0) < 0.6
                then 7 * greatest(1, round(usual_gap * (0.5 + draw('gap', user_id, order_number, 1)) / 7))
            else round(usual_gap * pow(-ln(1 - draw('gap', user_id, order_number, 2)), 0.6) * 1.1)
        end::integer as gap
    from numbered
)
select
    user_id,
    order_number,
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
    (floor(usual_hour + 2.5 * bell('hour', user_id, order_number))::integer + 48) % 24 as order_hour_of_day,
    case when order_number > 1 then least(gap, 30) end as days_since_prior_order,
    greatest(1, round(usual_basket * exp(0.5 * bell('basket', user_id, order_number))))::integer as places,
    least(1, novelty * 1.06 * pow(order_number, -0.5)) as share_of_new
from spaced
"""

# A place in the cart holds either the next product that the user discovers or one discovered in an earlier order: of
# three candidates the one the user likes most. Two places may hold the same product; then one of them goes.
_LINES = """
insert into lines
with places as (
    select
        user_id, order_number, order_id, eval_set, places, share_of_new,
        unnest(range(1, places + 1))::integer as place
    from batch_orders
    where eval_set <> 'test'
),
split as (
    select
        *,
        order_number = 1 or draw('new', user_id, order_number, place) < share_of_new as is_new
    from places
),
discovered as (
    select
        *,
        sum(is_new::integer) over (
            partition by user_id order by order_number, place rows unbounded preceding
        )::integer as discovered_now
    from split
),
known as (
    select
        *,
        min(discovered_now - is_new::integer) over (partition by user_id, order_number) as known_before
    from discovered
),
candidates as (
    select
        *,
        1 + floor(known_before * draw('repeat', user_id, order_number, place))::integer as first_choice,
        1 + floor(known_before * draw('repeat', user_id, order_number, place + 1000))::integer as second_choice,
        1 + floor(known_before * draw('repeat', user_id, order_number, place + 2000))::integer as third_choice
    from known
),
chosen as (
    select
        user_id,
        order_number,
        order_id,
        eval_set,
        place,
        is_new,
        popular_rank(user_id, case
            when is_new then discovered_now
            when affinity(user_id, first_choice)
                >= greatest(affinity(user_id, second_choice), affinity(user_id, third_choice)) then first_choice
            when affinity(user_id, second_choice) >= affinity(user_id, third_choice) then second_choice
            else third_choice
        end) as popularity_rank
    from candidates
),
distinct_products as (
    select user_id, order_number, order_id, eval_set, popularity_rank, min(place) as place, bool_and(is_new) as is_new
    from chosen
    group by all
)
select
    order_id,
    product_id,
    -- Usual products tend to go into the cart first.
    row_number() over (
        partition by order_id
        order by draw('cart', user_id, order_number, place) + is_new::integer * 0.5, place
    )::smallint as add_to_cart_order,
    (order_number > min(order_number) over (partition by user_id, popularity_rank))::tinyint as reordered,
    eval_set = 'train' as is_train
from distinct_products
inner join products using (popularity_rank)
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
    connection.execute(_MACROS.format(products=products))
    connection.execute(
        _PRODUCTS.format(products=products, specials=len(SPECIAL_PRODUCT_NAMES), here=_HERE),
        {"names": list(SPECIAL_PRODUCT_NAMES)},
    )
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

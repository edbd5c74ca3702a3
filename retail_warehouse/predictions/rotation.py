"""Hides the last order of every user once: writes raw files in which it is open, and its lines to another file."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from retail_warehouse.errors import DataError

_TABLES = ("aisles", "departments", "products", "orders", "order_products__prior", "order_products__train")
_COMPANION_USERS = 100_000_000  # added to the ids of a companion's users
_LINES = "{'order_id': 'bigint', 'product_id': 'bigint', 'add_to_cart_order': 'bigint', 'reordered': 'bigint'}"


@dataclass(frozen=True)
class Rotation:
    """The files of one turn.

    Attributes:
        data: Folder of the six official files, in which the hidden orders are ``test`` and have no lines.
        truth: CSV file with the lines of the hidden orders, outside of that folder: ``order_id, user_id, order_number,
            product_id, add_to_cart_order``.
        users: Number of users whose last order is hidden.
    """

    data: Path
    truth: Path
    users: int


def _source(data: Path, name: str) -> str:
    for path in (data / f"{name}.csv", data / f"{name}.csv.gz"):
        if path.is_file():
            return str(path).replace("'", "''")
    raise DataError(f"{data} holds no {name}.csv.")


class Hidden:
    """The turns of one data set. The last order with lines of a user is hidden in exactly one of them; later
    orders, which have no lines, are left out."""

    def __init__(self, data: Path, turns: int, companion: Path | None = None):
        """Read a data set.

        Args:
            data: Folder of the six official files, and of ``truth/order_products__test.csv`` if the lines of the
                open orders are known.
            turns: Number of turns, 2 or more.
            companion: Folder of further users with the same catalogue, who are in every turn and never hidden. Orders
                that ``data`` has too are left out.

        Raises:
            DataError: A file is missing or cannot be read.
        """
        self.turns = turns
        self._data = data
        self._connection = duckdb.connect()
        truth = data / "truth/order_products__test.csv"
        try:
            self._load(data, "", 0, [truth] if truth.is_file() else [])
            if companion is not None:
                self._load(companion, "companion_", _COMPANION_USERS, [])
                self._connection.execute("""
                    insert into orders by name select *, false as is_hideable from companion_orders
                    where order_id not in (select order_id from orders);
                    insert into lines select * from companion_lines
                    where order_id not in (select order_id from lines)
                    """)
            self._connection.execute(f"""
                create table users as
                -- In an order that does not depend on when a user joined.
                select user_id, (row_number() over (order by md5(user_id::varchar), user_id) - 1) % {turns} as turn
                from (select distinct user_id from orders where has_lines and is_hideable);
                create table kept as
                select orders.*, coalesce(turn, -1) as turn
                from (
                    select *, max(order_number) filter (has_lines) over (partition by user_id) as last_number
                    from orders
                ) as orders
                left join users using (user_id)
                where order_number <= last_number
                """)
        except duckdb.Error as error:
            raise DataError(f"The files of {data} cannot be read: {error}") from error

    def _load(self, data: Path, prefix: str, offset: int, more_lines: list[Path]) -> None:
        lines = [_source(data, name) for name in _TABLES[4:]] + [str(path).replace("'", "''") for path in more_lines]
        self._connection.execute(f"""
            create table {prefix}lines as
            select order_id, product_id, add_to_cart_order, reordered
            from read_csv({lines}, header = true, types = {_LINES});
            create table {prefix}orders as
            select
                order_id::bigint as order_id, user_id::bigint + {offset} as user_id, order_number::int as order_number,
                order_dow, order_hour_of_day, days_since_prior_order,
                order_id::bigint in (select order_id from {prefix}lines) as has_lines,
                {"true as is_hideable" if not prefix else "false as of_companion"}
            from read_csv('{_source(data, "orders")}', header = true, all_varchar = true)
            """)
        if prefix:
            self._connection.execute(f"alter table {prefix}orders drop column of_companion")

    def turn(self, number: int, out: Path) -> Rotation:
        """Write the folder of one turn, from 0.

        Raises:
            OSError: It cannot be written.
        """
        data, truth = out / "data", out / "truth.csv"
        data.mkdir(parents=True, exist_ok=True)
        is_hidden = f"(turn = {number} and order_number = last_number)"
        selected = {
            name: f"select * from read_csv('{_source(self._data, name)}', header = true, all_varchar = true)"
            for name in _TABLES[:3]
        }
        selected["orders"] = f"""
            select order_id, user_id,
                case
                    when {is_hidden} then 'test' when order_number = last_number then 'train' else 'prior'
                end as eval_set,
                order_number, order_dow, order_hour_of_day, days_since_prior_order
            from kept order by user_id, order_number"""
        for name, last in (("prior", "<"), ("train", "=")):
            selected[f"order_products__{name}"] = f"""
                select lines.* from lines join kept using (order_id)
                where order_number {last} last_number and not {is_hidden} order by order_id, add_to_cart_order"""
        for name, query in selected.items():
            self._connection.execute(f"copy ({query}) to '{data}/{name}.csv' (format csv, header)")
        self._connection.execute(f"""
            copy (
                select order_id, user_id, order_number, product_id, add_to_cart_order
                from lines join kept using (order_id) where {is_hidden} order by order_id, add_to_cart_order
            ) to '{truth}' (format csv, header)""")
        [(users,)] = self._connection.execute(f"select count(*) from users where turn = {number}").fetchall()
        return Rotation(data, truth, users)

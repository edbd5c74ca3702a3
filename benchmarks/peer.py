"""Compares the marts with those of a public dbt project for the same files: the results, the keys and both times.

python benchmarks/peer.py --write writes peer.md beside it. `peer.sql` holds the sixteen models by the definitions of
that project; they are built in DuckDB as well, so that the times compare the work and not the databases.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb
from bench import FULL_SIZE_USERS, PROJECT, Data, generate, machine, run_dbt, timed

HERE = Path(__file__).parent
PEER = "Kartz82/instacart-intelligence-platform"
COMMIT = "c0dcfa4f146c975e0d49ac5513c2d3166b89672f"
BUILD = ("build", "--selector", "instacart", "--exclude-resource-type", "unit_test")
RUN_PEER = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as connection:
    connection.execute("set memory_limit = '3GB'")
    connection.execute("set variable instacart = $1", [sys.argv[2]])
    connection.execute(open(sys.argv[3]).read())
"""
_ORDER = "order_id, user_id, order_number, order_dow, order_hour_of_day, days_since_prior_order"
_LINE = f"{_ORDER}, product_id, add_to_cart_order, reordered, aisle_id, department_id"


@dataclass(frozen=True)
class Model:
    """One of the peer's models beside ours.

    Attributes:
        name: Its table.
        key: What it has one row of, as columns.
        columns: Columns that mean the same in both, in the peer's names.
        ours: Query for the same columns, in the same order, of our warehouse.
        differs: What is defined otherwise, for people; empty where nothing is.
        where: Rows that both have by definition.
    """

    name: str
    key: str
    columns: str
    ours: str
    differs: str = ""
    where: str = "true"


MODELS = (
    Model("stg_aisles", "aisle_id", "aisle_id, aisle_name", "select aisle_id, aisle from instacart.aisles"),
    Model(
        "stg_departments",
        "department_id",
        "department_id, department_name",
        "select department_id, department from instacart.departments",
    ),
    Model(
        "stg_products",
        "product_id",
        "product_id, aisle_id, department_id",
        "select product_id, aisle_id, department_id from instacart.products",
        "names: ours are trimmed",
    ),
    Model("stg_orders", "order_id", f"{_ORDER}, eval_set", f"select {_ORDER}, eval_set from instacart.orders"),
    Model(
        "stg_order_products",
        "order_id, product_id",
        "order_id, product_id, add_to_cart_order, reordered",
        "from instacart.order_products",
    ),
    Model("int_order_item_enriched", "order_id, product_id", _LINE, f"select {_LINE} from instacart.fct_order_items"),
    Model(
        "int_customer_order_history",
        "user_id",
        "user_id, total_orders, total_items_purchased",
        "select user_id, order_count, item_count from reports.rpt_user_segments",
        "mean basket: the peer counts orders without known lines as baskets of 0",
    ),
    Model(
        "dim_products",
        "product_id",
        "product_id, aisle_name, department_name",
        "select product_id, aisle, department from reports.rpt_product_performance",
    ),
    Model(
        "dim_orders",
        "order_id",
        f"{_ORDER}, basket_size, reordered_items",
        f"select {_ORDER}, coalesce(basket_size, 0), coalesce(reordered_items, 0) from instacart.fct_orders",
        "a basket that is not known is 0 there, null here",
    ),
    Model("fact_order_items", "order_id, product_id", _LINE, f"select {_LINE} from instacart.fct_order_items"),
    Model(
        "dim_customers",
        "user_id",
        "user_id, total_orders, total_reordered_items",
        "select user_id, count(*), coalesce(sum(reordered_items), 0) from instacart.fct_orders group by user_id",
        "share bought again: ours leaves the first order out, in which nothing can be",
    ),
    Model(
        "mart_product_performance",
        "product_id",
        "product_id, total_order_items, distinct_orders, distinct_customers",
        "select product_id, order_count, order_count, user_count from reports.rpt_product_performance",
    ),
    Model(
        "mart_executive_kpis",
        "total_orders",
        "total_orders, total_customers, total_products, total_order_items, active_departments, top_department_by_items",
        "select (select count(*) from instacart.orders), (select count(*) from instacart.users),"
        " (select count(*) from instacart.products), sum(item_count), count_if(item_count > 0),"
        " arg_max(department, item_count) from reports.rpt_department_performance",
        "mean basket, as above",
    ),
    Model(
        "mart_customer_segments",
        "user_id",
        "user_id, total_orders, total_items_purchased",
        "select user_id, order_count, item_count from reports.rpt_user_segments",
        "segments: fifths of the users there, in which ties go by the user's number; stated limits here",
    ),
    Model(
        "mart_basket_affinity",
        "product_a_id, product_b_id",
        "product_a_id, product_b_id, orders_with_a, orders_with_b, orders_with_both",
        "select product_id_a, product_id_b, orders_a, orders_b, orders_with_both from reports.rpt_product_pairs",
        "support and lift: of all orders there, of orders with lines here; limits: numbers there, shares here",
        "least(orders_with_a, orders_with_b) >= greatest(1000, {orders} * 0.0003)"
        " and orders_with_both >= greatest(100, {orders} * 0.00003)",
    ),
    Model(
        "mart_cohort_retention",
        "observed_order_number",
        "observed_order_number, active_customers",
        "select order_number, user_count from reports.rpt_order_sequence",
        "21 order numbers there, all here; named a cohort there, though nobody has a date",
        "observed_order_number <= 21",
    ),
)


@dataclass(frozen=True)
class Comparison:
    """Of one model: the rows of both, how many are in both, and how often a key repeats in either."""

    model: Model
    peer: int
    ours: int
    same: int
    repeated: int


def compared(connection: duckdb.DuckDBPyConnection, model: Model) -> Comparison:
    """Compare one model, row by row.

    Args:
        connection: With the databases `peer` and `ours` attached, `ours` in use.
        model: Of :data:`MODELS`.
    """
    names = [name.strip() for name in model.columns.split(",")]
    [(orders,)] = connection.execute("select count(basket_size) from instacart.fct_orders").fetchall()
    where = model.where.format(orders=orders)
    sides = (
        f"select {model.columns} from peer.{model.name} where {where}",
        f"select {model.columns} from ({model.ours}) as ours({', '.join(names)}) where {where}",
    )

    def count(query: str) -> int:
        [(rows,)] = connection.execute(f"select count(*) from ({query})").fetchall()
        return rows

    repeated = sum(count(f"select {model.key} from ({side}) group by all having count(*) > 1") for side in sides)
    return Comparison(model, count(sides[0]), count(sides[1]), count(" intersect all ".join(sides)), repeated)


def report(found: list[Comparison], seconds: tuple[float, float], commit: str, lines: int) -> str:
    """The page as Markdown."""
    text = [
        "# The marts beside those of another project",
        "",
        f"[{PEER}](https://github.com/{PEER})",
        f"(commit {COMMIT[:7]}) is a public dbt project of sixteen models for the Instacart files, on PostgreSQL.",
        "`peer.sql` builds its models by its definitions, in SQL of our own, in DuckDB.",
        "`python benchmarks/peer.py --write` builds both from the same files and compares what means the same.",
        "",
        f"Commit {commit}, {lines:,} raw rows, {machine()}.",
        "",
        f"Processor time of its sixteen models, without any test: {seconds[0]:.0f} s. Of ours, with every test:",
        f"{seconds[1]:.0f} s; every row is judged, what is rejected is kept with a reason, and there are more reports.",
        "",
        "| its model | key | rows | rows here | the same | keys that repeat | what is defined otherwise |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = (one.model.name, one.model.key, f"{one.peer:,}", f"{one.ours:,}", f"{one.same:,}", str(one.repeated))
        text.append("| " + " | ".join((*cells, one.model.differs)) + " |")
    return "\n".join(text) + "\n"


def compare(work: Path) -> list[Comparison]:
    """Compare all models of the two warehouses `peer.duckdb` and `dbt.duckdb` in a folder."""
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{work}/peer.duckdb' as peer (read_only); attach '{work}/dbt.duckdb' as dbt (read_only)"
        )
        connection.execute("use dbt")
        return [compared(connection, model) for model in MODELS]


def build_peer(folder: Path, work: Path) -> None:
    """Build the peer's models from a folder of Instacart files."""
    arguments = [str(work / "peer.duckdb"), str(folder), str(HERE / "peer.sql")]
    timed([sys.executable, "-c", RUN_PEER, *arguments], work / "peer.log")


@contextmanager
def processor_time(seconds: list[float]) -> Iterator[None]:
    """Append the processor time of the processes that were started within and have ended, which says more than the
    clock where other programs run beside them."""
    before = os.times()
    yield
    after = os.times()
    seconds.append(sum(after[2:4]) - sum(before[2:4]))


@click.command()
@click.option("--users", type=click.IntRange(min=10), default=FULL_SIZE_USERS, show_default=True, help="To generate.")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Instacart files instead.")
@click.option("--write", is_flag=True, help="Write peer.md.")
def main(users: int, data: Path | None, write: bool) -> None:
    """Build the marts of the peer and ours from the same files, and compare them."""
    with tempfile.TemporaryDirectory(prefix="peer_", ignore_cleanup_errors=True) as name:
        work = Path(name)
        (work / "profiles.yml").write_text((PROJECT / "profiles.yml.example").read_text())
        if data:
            files = Data(1.0, data.resolve(), PROJECT / "seeds/samples/online_retail")
        else:
            files = generate(1.0, users, None, work)
        seconds: list[float] = []
        with processor_time(seconds):
            build_peer(files.instacart, work)
        with processor_time(seconds):
            run_dbt(files, work, *BUILD)
        found = compare(work)
        with duckdb.connect(str(work / "dbt.duckdb"), read_only=True) as connection:
            [(lines,)] = connection.execute(
                "select sum(raw_rows) from audit.row_reconciliation where source_name = 'instacart'"
            ).fetchall()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout.strip()
    text = report(found, (seconds[0], seconds[1]), commit, lines)
    click.echo(text)
    if write:
        (HERE / "peer.md").write_text(text)


if __name__ == "__main__":
    main()

"""Reads the rows of reports and audit tables that the page shows, from DuckDB or Redshift."""

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import duckdb

from retail_warehouse.errors import DataError
from retail_warehouse.project import warehouse
from retail_warehouse.redshift_connection import connected
from retail_warehouse.settings import ProjectSettings

Row = dict[str, object]
Value = str | int | float | bool | None

# Most rows of a table in the page.
LONGEST_TABLE = 400

# Each query by name, in SQL for both engines. They only group rows for a chart: the reports define the figures.
QUERIES = {
    "months": """
        select sales_month, gross_amount, cancellation_amount, net_amount, cancellation_rate, units, invoice_count,
            average_invoice_value, lines_per_invoice, customer_count, new_customer_count, returning_customer_count,
            is_complete_month
        from {reports}.rpt_monthly_totals
        order by sales_month""",
    "countries": """
        select country, sum(gross_amount) as gross_amount, sum(cancellation_amount) as cancellation_amount,
            sum(net_amount) as net_amount, sum(invoice_count) as invoice_count
        from {reports}.rpt_monthly_sales
        group by country
        order by net_amount desc, country""",
    "cohorts": """
        select cohort_month, months_since_first, cohort_size, active_customers, retention, sales_amount,
            is_complete_month
        from {reports}.rpt_cohort_retention
        order by cohort_month, months_since_first""",
    "rfm": """
        select recency_score, frequency_score, segment, count(*) as customers, sum(monetary) as sales_amount
        from {reports}.rpt_customer_rfm
        group by recency_score, frequency_score, segment
        order by recency_score desc, frequency_score""",
    "segments": """
        select segment, count(*) as customers, sum(monetary) as sales_amount
        from {reports}.rpt_customer_rfm
        group by segment
        order by sales_amount desc, segment""",
    "pareto": """
        select sales_rank, stock_code, description, sales_amount, cumulative_sales_share
        from {reports}.rpt_stock_item_performance
        where sales_rank is not null
        order by sales_rank""",
    "cancelled_items": """
        select stock_code, description, sales_amount, cancellation_amount, cancelled_share
        from {reports}.rpt_stock_item_performance
        where is_product and cancellation_amount < 0 and sales_amount > 0
        order by cancellation_amount, stock_code
        limit 15""",
    "item_pairs": """
        select description_a, description_b, stock_code_a, stock_code_b, baskets_with_both, support,
            confidence_a_to_b, confidence_b_to_a, lift
        from {reports}.rpt_stock_item_pairs
        order by baskets_with_both desc, stock_code_a, stock_code_b
        limit {limit}""",
    "times": """
        select order_dow, order_hour_of_day, order_count, orders_with_lines, item_count, reordered_items,
            mean_basket_size, reorder_share
        from {reports}.rpt_order_times
        order by order_dow, order_hour_of_day""",
    "baskets": """
        select basket_size, order_count, order_share, reorder_share
        from {reports}.rpt_basket_sizes
        order by basket_size""",
    "gaps": """
        select days_since_prior_order, order_count, order_share, mean_basket_size, reorder_share
        from {reports}.rpt_order_gaps
        order by days_since_prior_order""",
    "departments": """
        select department, order_count, order_share, item_count, user_count, reorder_share
        from {reports}.rpt_department_performance
        order by order_count desc, department""",
    "sequence": """
        select order_number, user_count, mean_basket_size, reorder_share, new_product_share, mean_new_products
        from {reports}.rpt_order_sequence
        order by order_number""",
    "users": """
        select segment, count(*) as users, sum(item_count) as item_count
        from {reports}.rpt_user_segments
        group by segment
        order by users desc, segment""",
    "product_pairs": """
        select product_name_a, product_name_b, product_id_a, product_id_b, orders_with_both, support,
            confidence_a_to_b, confidence_b_to_a, lift
        from {reports}.rpt_product_pairs
        order by orders_with_both desc, product_id_a, product_id_b
        limit {limit}""",
    "files": """
        select source_name, table_name, file_name, raw_rows, accepted_rows, rejected_rows
        from {audit}.row_reconciliation
        order by source_name, table_name, file_name""",
    "rejections": """
        select source_name, table_name, reason, count(*) as rejected_rows
        from {audit}.rejected_rows
        group by source_name, table_name, reason
        order by source_name, table_name, reason""",
    "builds": """
        select max(processed_at) as last_processed_at
        from {audit}.processed_files""",
}


@dataclass
class Data:
    """What the page shows.

    Attributes:
        rows: Rows by name of the query; empty for a table that is empty or not built.
        missing: Names of the queries whose table is not built.
        origin: Name of the file or target that was read.
        last_run: Counts of the last dbt run in this folder; empty without its artifacts.
    """

    rows: dict[str, list[Row]]
    missing: list[str] = field(default_factory=list)
    origin: str = ""
    last_run: dict[str, Value] = field(default_factory=dict)


def _plain(value: object) -> Value:
    """A value that JSON can hold: decimals become numbers, dates ISO text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return value


# Returns the rows of a query, or None if its table is missing.
Ask = Callable[[str], list[Row] | None]


@contextlib.contextmanager
def _duckdb() -> Iterator[Ask]:
    path = warehouse()
    if not path.is_file():
        raise DataError(f"There is no warehouse {path}; run dbt build first, or name it with WAREHOUSE_PATH.")
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise DataError(f"The warehouse cannot be read: {error}") from error

    def ask(sql: str) -> list[Row] | None:
        try:
            cursor = connection.execute(sql)
        except duckdb.CatalogException:
            return None
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    with connection:
        yield ask


@contextlib.contextmanager
def _redshift(target: str) -> Iterator[tuple[Ask, str]]:
    """Connect as dbt does; gives also the prefix of the target's schemas."""
    with connected(target) as (connection, prefix):
        from redshift_connector import ProgrammingError

        def ask(sql: str) -> list[Row] | None:
            cursor = connection.cursor()
            try:
                cursor.execute(sql)
            except ProgrammingError as error:
                if "does not exist" in str(error):
                    return None
                raise DataError(f"The target {target} refuses a query: {error}") from error
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        yield ask, prefix


def _last_run() -> dict[str, Value]:
    path = ProjectSettings().dbt_target_path / "run_results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        statuses = [result["status"] for result in results["results"]]
        return {
            "command": results["args"]["which"],
            "at": results["metadata"]["generated_at"][:19].replace("T", " "),
            "passed": sum(status in ("pass", "success") for status in statuses),
            "warnings": statuses.count("warn"),
            "errors": sum(status in ("error", "fail", "runtime error") for status in statuses),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read(target: str | None = None) -> Data:
    """Read what the page shows.

    Args:
        target: A Redshift target of the dbt profile, such as ``prod``; None for the DuckDB file.

    Raises:
        DataError: The warehouse is missing, in use, or cannot be reached.
    """
    with contextlib.ExitStack() as stack:
        if target is None:
            ask, prefix, origin = stack.enter_context(_duckdb()), "", warehouse().name
        else:
            ask, prefix = stack.enter_context(_redshift(target))
            origin = f"target {target}"
        names = {"reports": f"{prefix}reports", "audit": f"{prefix}audit", "limit": LONGEST_TABLE}
        found = {name: ask(sql.format(**names)) for name, sql in QUERIES.items()}
    return Data(
        rows={
            name: [{column: _plain(value) for column, value in row.items()} for row in rows or []]
            for name, rows in found.items()
        },
        missing=[name for name, rows in found.items() if rows is None],
        origin=origin,
        last_run=_last_run(),
    )

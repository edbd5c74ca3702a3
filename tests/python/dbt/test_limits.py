"""Rows at the limits of what is accepted: no model fails on them, and no figure is wrong.

The limits are those of the domains (`macros/staging/online_retail_lines_query.sql`, `stg_instacart__*`) and of the
types: a million pieces, a million pounds, 2000 to 2049, integers and smallints.
"""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import MODELS

pytestmark = pytest.mark.slow

LARGEST, SMALLEST = 2**31 - 1, -(2**31)
#: Lines of a million pieces at a million pounds: more than `numeric(18, 3)` holds, and in thousandths than 64 bits.
LINES = 10_000
MOST = Decimal(1_000_000_000_000)  # pounds of such a line
#: Beyond the root of the largest integer.
PRODUCTS = 46_400


def write_online_retail(folder: Path) -> None:
    rows = ["InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"]

    def add(count: int, invoice_no: str, stock_code: str, quantity: int, day: str, price: str, rest: str) -> None:
        rows.extend([f"{invoice_no},{stock_code},Lamp,{quantity},{day},{price},{rest}"] * count)

    add(LINES, "9" * 19, "A", 1_000_000, "12/1/2010 8:26", "1000000", f"{LARGEST},France")
    add(LINES, "C" + "9" * 19, "A", -1_000_000, "12/2/2010 8:26", "1000000", f"{LARGEST},France")
    add(LINES, "A1", "B", 1, "12/2/2010 8:26", "-1000000", ",France")
    add(LINES, "8", "C", -1_000_000, "12/2/2010 8:26", "0", ",France")
    add(1, "20", "D" * 50, 1, "12/3/2010 8:26", "0.001", f"{SMALLEST}," + "F" * 100)
    # Hardly a sale, and the largest cancellations; the first and the last minute.
    add(1, "7", "E", 1, "1/1/2000 0:00", "0.001", "5,Spain")
    add(LINES, "C7", "E", -1_000_000, "1/2/2000 0:00", "1000000", "5,Spain")
    add(1, "6", "E", 1, "12/31/2049 23:59", "0.001", "5,Spain")
    rows.append(f"30,F,{'é' * 1000},1,12/3/2010 8:26,0.001,5,Spain")
    folder.mkdir()
    (folder / "data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_instacart(folder: Path) -> None:
    def write(name: str, header: str, rows: list[str]) -> None:
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")

    folder.mkdir()
    ends = (LARGEST, SMALLEST)
    write("aisles", "aisle_id,aisle", [f"{id_},soap" for id_ in ends])
    write("departments", "department_id,department", [f"{id_},home" for id_ in ends])
    products = [
        f"{LARGEST - number},{'n' * 1000 if not number else 'Soap'},{ends[not number]},{ends[not number]}"
        for number in range(PRODUCTS)
    ]
    write("products", "product_id,product_name,aisle_id,department_id", products)
    # One user buys everything twice, with four thousand orders without lines and the longest gaps between.
    orders = [f"{LARGEST - number},{LARGEST},prior,{number + 1},6,23,{30 if number else ''}" for number in range(4000)]
    lines = [
        f"{LARGEST - order},{LARGEST - product},32767,{order % 2}" for order in (0, 3999) for product in range(PRODUCTS)
    ]
    # Others come to the largest order number; their place in the cart lies far beyond the basket.
    for user in range(8):
        for number in range(6):
            order = SMALLEST + 10 * user + number
            orders.append(f"{order},{SMALLEST + user},prior,{32762 + number},0,0,{0 if number else ''}")
            lines += [f"{order},{LARGEST},32767,{min(number, 1)}", f"{order},{LARGEST - 1 - user},32767,1"]
    write("orders", "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order", orders)
    header = "order_id,product_id,add_to_cart_order,reordered"
    write("order_products__prior", header, lines)
    write("order_products__train", header, [])


def test_no_model_fails_at_the_limits(dbt, tmp_path):
    write_online_retail(tmp_path / "online_retail")
    write_instacart(tmp_path / "instacart")
    landing = tmp_path / "landing"
    folders = {"ONLINE_RETAIL_DATA": str(tmp_path / "online_retail"), "ONLINE_RETAIL_LANDING": str(landing)}
    everything = ("--select", "fqn:*", "--exclude", "tag:predictions")
    built = dbt(*MODELS, *everything, data=tmp_path / "instacart", **folders)
    assert built.ok, built.output
    assert dbt.query("select * from audit.rejected_rows") == []

    total = LINES * MOST
    assert dbt.query(
        "select invoice_date, gross_amount, cancellation_amount, net_amount from online_retail.fct_daily_sales"
        " where country = 'France' order by 1"
    ) == [
        (date.fromisoformat("2010-12-01"), total, 0, total),
        (date.fromisoformat("2010-12-02"), 0, -total, -total),
    ]
    assert dbt.query(
        "select cancellation_amount, cancellation_rate, average_invoice_value from reports.rpt_monthly_totals"
        " where sales_month in ('2000-01-01', '2010-12-01') order by sales_month"
    ) == [
        (-total, total * 1000, Decimal("0.001")),
        # Of three invoices, one of them is nearly everything.
        (-total, Decimal("1.000000"), (total / 3).quantize(Decimal("0.001")) + Decimal("0.001")),
    ]
    assert dbt.query("select max(monetary) from reports.rpt_customer_rfm") == [(total,)]
    assert dbt.query(
        "select sales_amount, cumulative_sales_share from reports.rpt_stock_item_performance where stock_code = 'A'"
    ) == [(total, 1)]
    assert dbt.query(
        "select max(mean_basket_size), max(basket_size) from reports.rpt_order_sequence, instacart.fct_orders"
    ) == [(PRODUCTS, PRODUCTS)]
    assert dbt.query("select max(mean_days_between), max(mean_relative_position) from features.ftr_user_products") == [
        (30 * 3999, 1)
    ]
    assert dbt.query("select max(order_number) from features.ftr_targets") == [(32768,)]

    # A view is computed when it is read.
    for view in ("instacart.fct_order_items", "features.ftr_reorder_candidates"):
        assert len(dbt.query(f"select max(columns(*)) from {view}")) == 1

    # A micro-batch of the same.
    (landing / "day=2026-11-22").mkdir(parents=True)
    line = f"{'9' * 19},A,Lamp,1000000,12/1/2010 8:26,1000000,{LARGEST},France"
    rows = [{"event_id": f"till:{number}", "landing_position": number, "line": line} for number in range(2, 102)]
    (landing / "day=2026-11-22" / "a.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    batch = dbt("build", "--selector", "micro_batch", data=tmp_path / "instacart", **folders)
    assert batch.ok, batch.output
    assert dbt.query("select max(amount), max(quantity) from online_retail.invoices") == [
        (total + 100 * MOST, (LINES + 100) * 1_000_000)
    ]

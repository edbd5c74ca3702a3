"""The baseline of the benchmark builds the same tables as dbt; else its time would mean nothing."""

import shutil
import subprocess
import sys

import bench
import click
import duckdb
import peer
import pytest
from conftest import PROJECT

SAMPLES = PROJECT / "seeds/samples"


@pytest.fixture
def both(built, tmp_path):
    shutil.copy(built.warehouse, tmp_path / "dbt.duckdb")
    arguments = [SAMPLES / "instacart", SAMPLES / "online_retail", tmp_path / "plain.duckdb"]
    done = subprocess.run(
        [sys.executable, PROJECT / "benchmarks/plain.py", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_the_baseline_builds_the_same_tables(both):
    marts = {"instacart", "online_retail", "reports", "reference", "audit"}
    with duckdb.connect(str(both / "dbt.duckdb"), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name from duckdb_tables()"
            " where table_name not in ('doubted_files', 'processed_files', 'model_runs')"
        ).fetchall()
    assert bench.compare(both) == sum(schema in marts for (schema,) in tables) == 34


@pytest.mark.parametrize(
    "statement",
    [
        "update instacart.orders set order_dow = 6 - order_dow where order_id = 2",
        "insert into audit.row_reconciliation select * from audit.row_reconciliation limit 1",
        "update reports.rpt_stock_item_pairs set lift = lift + 0.000001 where rowid = 0",
        "update online_retail.fct_daily_sales set net_amount = net_amount + 0.001 where rowid = 0",
    ],
)
def test_a_difference_is_noticed(both, statement):
    with duckdb.connect(str(both / "plain.duckdb")) as connection:
        connection.execute(statement)
    with pytest.raises(click.ClickException, match="rows differ between dbt and plain"):
        bench.compare(both)


def test_the_checks_of_the_baseline_fail_on_a_fault(both):
    faults = [
        "update instacart.orders set user_id = 0 where order_id = 2",
        "insert into instacart.order_products select * from instacart.order_products limit 1",
        "update online_retail.fct_sales set line_amount = 0 where rowid = 0",
    ]
    checks = duckdb.extract_statements((PROJECT / "benchmarks/plain_checks.sql").read_text())
    for fault in faults:
        with duckdb.connect(str(both / "plain.duckdb")) as connection:
            connection.begin()
            connection.execute(fault)
            assert any(connection.execute(check).fetchall() != [(0,)] for check in checks), fault
            connection.rollback()


def test_the_results_are_of_the_full_size():
    text = (PROJECT / "benchmarks/RESULTS.md").read_text()
    assert text.startswith("# Results of the last full benchmark")
    assert "| time a / b |" in text
    assert "34 tables of (a) and (b) are equal" in text
    assert "| time of 1 % more orders / full build |" in text


def test_the_marts_equal_those_of_the_peer_where_they_mean_the_same(built, tmp_path):
    """In every row and key; a row that differs is noticed."""
    shutil.copy(built.warehouse, tmp_path / "dbt.duckdb")
    peer.build_peer(SAMPLES / "instacart", tmp_path)
    found = peer.compare(tmp_path)
    assert len(found) == 16
    for one in found:
        assert (one.peer, one.ours, one.repeated) == (one.same, one.same, 0), one
    with duckdb.connect(str(tmp_path / "peer.duckdb")) as connection:
        connection.execute("update dim_orders set basket_size = basket_size + 1 where order_id = 2")
        connection.execute("insert into stg_aisles from stg_aisles limit 1")
    different = {one.model.name: one for one in peer.compare(tmp_path) if one.same != one.peer or one.repeated}
    assert set(different) == {"dim_orders", "stg_aisles"}
    assert different["dim_orders"].same == different["dim_orders"].peer - 1
    assert different["stg_aisles"].repeated == 1


def test_the_page_of_the_peer_says_what_was_compared():
    text = (PROJECT / "benchmarks/peer.md").read_text()
    assert text.startswith("# The marts beside those of another project")
    for model in peer.MODELS:
        assert f"| {model.name} | {model.key} | " in text

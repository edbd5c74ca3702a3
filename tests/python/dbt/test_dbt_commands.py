"""Commands of dbt do what its documentation says, on a warehouse that was built."""

import json
import os
import re

import duckdb
import pytest
from conftest import INSTACART, MODELS, ONLINE_RETAIL, PROJECT, WITH_ARTIFACTS, settle

from retail_warehouse import official

pytestmark = pytest.mark.slow


def test_what_shows_a_model_shows_all_of_it(built_dbt, small):
    for model in ("fct_orders", "invoice_lines", "int_orders_accepted"):
        shown = built_dbt("show", "--select", model, "--limit", "3", data=small.data)
        assert shown.ok, shown.output
        assert shown.output.count("|\n") >= 5, shown.output
    compiled = built_dbt("compile", "--select", "fct_sales", data=small.data)
    assert compiled.ok, compiled.output
    assert "processed_files" not in compiled.output


def test_nothing_modified_is_no_error(built_dbt, small):
    built_dbt("parse", **WITH_ARTIFACTS)
    unchanged = built_dbt("build", "--select", "state:modified+", "--state", str(built_dbt.target), data=small.data)
    assert unchanged.ok, unchanged.output
    assert "does not match any enabled nodes" in unchanged.output


def test_freshness_tells_when_files_were_last_taken_in(built_dbt):
    fresh = built_dbt("source", "freshness")
    assert fresh.ok, fresh.output
    assert fresh.output.count("PASS freshness of ") == 2


def test_a_sample_and_an_empty_build_stand_for_no_file(built_dbt, small):
    sales = built_dbt.query("select count(*), sum(line_amount) from online_retail.fct_sales")
    for part in (("--sample", "{'start': '2010-12-01', 'end': '2010-12-03'}"), ("--empty",)):
        built = built_dbt(*MODELS, *ONLINE_RETAIL, *part, data=small.data)
        assert built.ok, built.output
        assert built_dbt.query("select count(*), sum(line_amount) from online_retail.fct_sales") != sales
        ledger = "select count(*) from audit.processed_files where source_name = 'online_retail'"
        assert built_dbt.query(ledger) == [(0,)]
    assert built_dbt(*MODELS, *ONLINE_RETAIL, data=small.data).ok
    assert built_dbt.query("select count(*), sum(line_amount) from online_retail.fct_sales") == sales


def test_one_source_is_built_alone_in_a_new_warehouse(dbt, small):
    without = ("--exclude", "tag:reports", "tag:features", "tag:predictions")
    built = dbt(*MODELS, "--select", "source:instacart+", *without, data=small.data)
    assert built.ok, built.output
    # What gathers both sources gathers the one that is there, and its tests and unit tests know no more.
    audit = ("--select", "path:models/audit", "assert_row_counts_carry_through_layers", "--exclude", "model_runs")
    tested = dbt("test", *audit, data=small.data)
    assert tested.ok, tested.output
    assert dbt.query("select distinct source_name from audit.row_reconciliation") == [("instacart",)]
    # The seed, which is not made from the source, is what is missing; whether a model or a unit test tells of it.
    for command in (("run", "--select", "fct_sales"), ("test", "--select", "fct_sales,test_type:data")):
        other = dbt(*command, data=small.data)
        assert not other.ok
        assert "build one source alone, use dbt build --selector instacart or --selector online_retail" in other.output
    # Nothing of Online Retail was there.
    built = dbt(
        *MODELS, "--select", "tag:online_retail", "row_reconciliation", "rejected_rows", *without, data=small.data
    )
    assert built.ok, built.output
    sources = "select distinct source_name from audit.row_reconciliation order by 1"
    assert dbt.query(sources) == [("instacart",), ("online_retail",)]


def test_settings_are_checked_before_anything_is_changed(built_dbt):
    before = built_dbt.warehouse.read_bytes()
    given = """{online_retail_day_first: "false", online_retail_dayfirst: true, max_rejected_share: 1.5,
        max_rejected_rows: -1}"""
    outcome = built_dbt("run", *INSTACART, "--vars", given, DUCKDB_THREADS="two")
    assert not outcome.ok
    for told in (
        "the var online_retail_day_first must be true or false",
        "there is no var online_retail_dayfirst",
        "max_rejected_share must be a number from 0 to 1",
        "max_rejected_rows must be a whole number of 0 or more",
        "the environment variable DUCKDB_THREADS must be a whole number",
    ):
        assert told in outcome.output, outcome.output
    assert built_dbt.warehouse.read_bytes() == before


def test_a_damaged_warehouse_is_told_without_a_traceback(dbt):
    dbt.warehouse.write_bytes(b"no warehouse" * 2000)
    outcome = dbt("run", "--select", "stg_instacart__aisles")
    assert not outcome.ok
    assert "Move it away and build again" in outcome.output
    assert "Traceback" not in outcome.output
    dbt.warehouse.unlink()


SALES = "select count(*), sum(line_amount) from online_retail.fct_sales"


@pytest.fixture
def invoices(tmp_path):
    """A folder of Online Retail files, and a function that writes one with some lines, the last of them unreadable."""
    folder = tmp_path / "invoices"
    folder.mkdir()

    def write(name: str, first: int, bad: int = 0):
        line = "{},85123A,HOLDER,{},12/1/2010 8:26,2.55,17850,United Kingdom"
        lines = [line.format(first + n, "six" if n >= 40 - bad else 6) for n in range(40)]
        (folder / name).write_text("\n".join([official.ONLINE_RETAIL_HEADER, *lines]) + "\n")
        settle(folder / name)
        return folder

    return write


def test_a_retry_runs_what_failed(built_dbt, small):
    add = "update online_retail.fct_daily_sales set gross_amount = {} - gross_amount"
    test = "fct_daily_sales_has_valid_values"
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        connection.execute(add.format("-1"))
    failed = built_dbt("build", "--select", "fct_sales,resource_type:test", test, data=small.data, **WITH_ARTIFACTS)
    assert "ERROR=1 " in failed.output, failed.output
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        connection.execute(add.format("-1"))
    retried = built_dbt("retry", data=small.data, **WITH_ARTIFACTS)
    assert retried.ok, retried.output
    assert re.search(rf"1 of 1 PASS {test} ", retried.output)


def test_a_retry_after_a_corrected_file_says_that_it_reads_none(dbt, invoices):
    build = ("build", "--indirect-selection", "empty", "--exclude-resource-type", "unit_test", "--select", "+fct_sales")
    build += ("online_retail_rejected_rows_within_limit",)
    files = {"ONLINE_RETAIL_DATA": str(invoices("a.csv", 500_000, bad=40)), **WITH_ARTIFACTS}
    assert not dbt(*build, **files).ok
    # Nothing has changed: it is judged as before.
    unchanged = dbt("retry", **files)
    assert "ERROR=1 " in unchanged.output, unchanged.output
    assert "in test online_retail_rejected_rows_within_limit" in unchanged.output
    invoices("a.csv", 500_000)
    invoices("b.csv", 600_000)
    retried = dbt("retry", **files)
    assert not retried.ok
    assert "a.csv has changed, b.csv is new. Nothing was changed. Run dbt build" in retried.output, retried.output
    again = dbt(*build, **files)
    assert again.ok, again.output
    assert dbt.query("select count(*) from online_retail.fct_sales") == [(80,)]


@pytest.fixture
def production(built_dbt, built, tmp_path):
    """A folder with the manifest of a production, and its tables beside the schemas of `built_dbt`, which are empty."""
    manifest = json.loads(built.manifest.read_text())
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed") and node["relation_name"]:
            node["relation_name"] = node["relation_name"].replace(f'"{node["schema"]}"', f'"prod_{node["schema"]}"')
            node["schema"] = f"prod_{node['schema']}"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables where not starts_with(table_schema, 'raw_')"
        ).fetchall()
        schemas = {schema for schema, _ in tables}
        for schema in schemas:
            connection.execute(f"create schema prod_{schema}")
        for schema, table in tables:
            connection.execute(f"create table prod_{schema}.{table} as from {schema}.{table}")
        for schema in schemas:
            connection.execute(f"drop schema {schema} cascade")
    return tmp_path


def test_what_is_deferred_is_read_in_production(built_dbt, production, small):
    expected = built_dbt.query(SALES.replace("from ", "from prod_"))
    state = ("--defer", "--state", str(production))
    # Nothing of the models above is there.
    deferred = built_dbt("run", "--select", "fct_sales", "fct_daily_sales", *state, data=small.data)
    assert deferred.ok, deferred.output
    assert built_dbt.query(SALES) == expected
    net = "select sum(net_amount) from {}online_retail.fct_daily_sales"
    assert built_dbt.query(net.format("")) == built_dbt.query(net.format("prod_"))
    # They stand for no file yet.
    assert built_dbt.query("select count(*) from audit.processed_files") == [(0,)]
    assert not built_dbt("run", "--select", "fct_sales", "--full-refresh", data=small.data).ok


def test_a_clone_is_what_production_is_and_can_be_built_over(built_dbt, production, small):
    expected = built_dbt.query(SALES.replace("from ", "from prod_"))
    selected = ("--select", "tag:online_retail", "dim_dates", "--exclude", "tag:reports")
    cloned = built_dbt("clone", *selected, "--state", str(production), data=small.data)
    assert cloned.ok, cloned.output
    assert built_dbt.query(SALES) == expected
    built = built_dbt(*MODELS, *selected, data=small.data)
    assert built.ok, built.output
    assert built_dbt.query(SALES) == expected
    kinds = "select table_type from information_schema.tables where table_schema = 'online_retail'"
    assert set(built_dbt.query(kinds)) == {("BASE TABLE",)}


def test_another_folder_has_the_same_warehouse_and_data_or_is_told(built_dbt, tmp_path):
    """`--project-dir`: what is relative in the profile would lie elsewhere."""
    run = ("run", "--select", "stg_instacart__aisles", "--full-refresh", "--project-dir")
    refused = built_dbt(*run, str(PROJECT), working_folder=tmp_path, WAREHOUSE_PATH="warehouse.duckdb")
    assert not refused.ok
    assert (
        f"The warehouse warehouse.duckdb would lie in {tmp_path}, which is not the project's folder" in refused.output
    )
    assert [path.name for path in tmp_path.glob("*.duckdb*")] == []
    sample = len((PROJECT / "seeds/samples/instacart/aisles.csv").read_text().splitlines()) - 1
    for project in (str(PROJECT), os.path.relpath(PROJECT, tmp_path)):
        ran = built_dbt(*run, project, working_folder=tmp_path)
        assert ran.ok, ran.output
        assert built_dbt.query("select count(*) from staging.stg_instacart__aisles") == [(sample,)]

"""Commands of dbt do what its documentation says, on a warehouse that was built."""

import pytest
from conftest import INSTACART, MODELS, ONLINE_RETAIL, WITH_ARTIFACTS

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

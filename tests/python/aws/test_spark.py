"""Spark reads the export as DuckDB does. `make test-spark` installs it and runs this; the other tests do without."""

import json
import os

import duckdb
import pytest
from conftest import PROJECT

NOTEBOOK = PROJECT / "analyses/sales_on_spark.ipynb"
IS_REQUIRED = os.environ.get("SPARK_REQUIRED") == "1"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_REQUIRED, reason="Spark takes 500 MB and a minute: make test-spark"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
    own = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }
    for name, value in own.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def run_notebook(spark) -> dict:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(cell.get("outputs", []) == [] for cell in cells), "save the notebook without outputs"
    told: dict = {}
    exec("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), told)
    return {name: [tuple(row) for row in told[name].collect()] for name in ("months", "items", "customers")}


def by_duckdb(built, sql: str) -> list[tuple]:
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_spark_reads_what_the_warehouse_holds(spark, built):
    for name in ("fct_sales", "fct_cancellations", "fct_daily_sales"):
        read = spark.read.parquet(f"{built.artifacts}/exports/dev/{name}")
        assert dict(read.dtypes)["invoice_month"] == "date"
        columns = [column for column, type_ in read.dtypes if type_.startswith("decimal") or column.endswith("_count")]
        sums = ", ".join(f"cast(sum({column}) as decimal(38, 3))" for column in columns)
        asked = f"select count(*), count(distinct date_trunc('month', invoice_date)), {sums} from "
        read.createOrReplaceTempView("read_back")
        [found] = [tuple(row) for row in spark.sql(asked + "read_back").collect()]
        assert [found] == by_duckdb(built, f"{asked}online_retail.{name}")
        assert found[0] > 100
        # The partition column is the month of each row.
        assert read.where("invoice_month <> date_trunc('month', invoice_date)").count() == 0


def test_the_notebook_has_the_figures_of_the_reports(spark, built, monkeypatch):
    monkeypatch.setenv("PARQUET_EXPORT", str(built.artifacts / "exports"))
    found = run_notebook(spark)
    assert found["months"] == by_duckdb(
        built,
        "select sales_month, gross_amount, cancellation_amount, net_amount from reports.rpt_monthly_totals"
        " where gross_amount <> 0 or cancellation_amount <> 0 order by sales_month",
    )
    assert found["items"] == by_duckdb(
        built,
        """
        select stock_code, sum(quantity), sum(line_amount) as amount
        from online_retail.fct_sales
        where is_product and date_trunc('month', invoice_date)
            >= (select date_trunc('month', max(invoice_date)) - interval 2 months from online_retail.fct_sales)
        group by stock_code
        order by amount desc, stock_code
        """,
    )
    assert len(found["items"]) > 10
    assert sum(row[1] for row in found["customers"]) == sum(row[1] for row in found["months"])
    # In Athena the catalogue says where the files are.
    monkeypatch.delenv("PARQUET_EXPORT")
    spark.sql("create database online_retail")
    for name in ("fct_sales", "fct_cancellations", "fct_daily_sales"):
        folder = built.artifacts / f"exports/dev/{name}"
        spark.sql(f"create table online_retail.{name} using parquet location '{folder}'")
    assert run_notebook(spark) == found

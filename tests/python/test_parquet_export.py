"""The Parquet export: written when asked for, the same rows as the facts, read back by the notebook and an analysis."""

import json
import subprocess
import sys

import duckdb
import pytest
from conftest import MODELS, PROJECT
from redshift_sequence import FACTS
from test_online_retail import write
from test_redshift_offline import REDSHIFT

NOTEBOOK = PROJECT / "analyses/monthly_sales.ipynb"


def months(folder, fact: str) -> list[str]:
    return sorted(path.parent.name for path in (folder / fact).glob("*/*.parquet"))


@pytest.mark.slow
def test_it_is_off_by_default_and_chosen_by_a_selector(built_dbt, tmp_path):
    dbt = built_dbt
    december = "536365,85123A,HOLDER,6,12/31/2010 8:26,2.55,17850,United Kingdom"
    january = "536366,85123A,HOLDER,1,1/1/2011 8:26,2.55,17850,United Kingdom"
    cancelled = "C536367,85123A,HOLDER,-1,1/31/2011 23:59,2.55,17850,United Kingdom"
    data = write(tmp_path / "data", december, january, cancelled)
    # Folders above are made, whatever their names are.
    folder = tmp_path / "reader's exports" / "a"
    environment = {"ONLINE_RETAIL_DATA": str(data), "PARQUET_EXPORT": f"{folder}/"}
    assert dbt(*MODELS, **environment).ok
    assert not folder.parent.exists()

    outcome = dbt("build", "--selector", "parquet_export", **environment)
    assert outcome.ok, outcome.output
    assert {path.name for path in (folder / "dev").iterdir()} == set(FACTS)
    assert months(folder / "dev", "fct_sales") == ["invoice_month=2010-12-01", "invoice_month=2011-01-01"]
    assert months(folder / "dev", "fct_cancellations") == ["invoice_month=2011-01-01"]
    [(types, rows)] = duckdb.sql(
        f"""
        select list(distinct typeof(line_amount) || ' ' || typeof(invoiced_at) || ' ' || typeof(invoice_month)),
            list((invoice_line_id, line_amount::varchar) order by row_number)
        from read_parquet('{str(folder).replace("'", "''")}/dev/fct_sales/*/*.parquet', hive_partitioning = true)
        """
    ).fetchall()
    assert types == ["DECIMAL(18,3) TIMESTAMP DATE"]
    assert rows == [("data.csv:2", "15.300"), ("data.csv:3", "2.550")]

    # An empty build leaves the files; the next one replaces them, a month that is no more included.
    assert dbt("run", "--empty", "--selector", "parquet_export", **environment).ok
    assert len(months(folder / "dev", "fct_sales")) == 2
    write(tmp_path / "data", december)
    outcome = dbt.build("--selector", "with_parquet_export", **environment)
    assert outcome.ok, outcome.output
    assert months(folder / "dev", "fct_sales") == ["invoice_month=2010-12-01"]
    assert months(folder / "dev", "fct_cancellations") == []


@pytest.mark.slow
def test_an_export_that_fails_is_told_and_nothing_else_is_lost(built_dbt, tmp_path):
    (tmp_path / "file").touch()
    outcome = built_dbt(*MODELS, "--selector", "with_parquet_export", PARQUET_EXPORT=str(tmp_path / "file"))
    assert not outcome.ok
    assert str(tmp_path / "file") in outcome.output
    assert built_dbt.query("select count(*) > 0 from online_retail.fct_sales") == [(True,)]


def test_the_analysis_reads_it_back(built):
    nodes = json.loads(built.manifest.read_text())["nodes"]
    sql = nodes["analysis.retail_warehouse.monthly_sales_from_parquet"]["compiled_code"]
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        expected = connection.execute(
            "select date_trunc('month', invoice_date)::date, sum(gross_amount), sum(cancellation_amount),"
            " sum(net_amount), sum(unit_count) from online_retail.fct_daily_sales group by 1 order by 1"
        ).fetchall()
    assert duckdb.sql(sql).fetchall() == expected  # no warehouse attached
    assert len(expected) > 3


def test_the_notebook_runs(built):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(cell.get("outputs", []) == [] for cell in cells), "save the notebook without outputs"
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    code += "\nprint([float(value) for value in gross], len(axes.patches))"
    environment = {
        "PARQUET_EXPORT": str(built.artifacts / "exports"),
        "MPLBACKEND": "Agg",
        "HOME": str(built.artifacts),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=NOTEBOOK.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        expected = connection.execute(
            "select sum(gross_amount)::double from online_retail.fct_daily_sales"
            " group by date_trunc('month', invoice_date) order by date_trunc('month', invoice_date)"
        ).fetchall()
    assert done.stdout.strip() == f"{[value for (value,) in expected]} {2 * len(expected)}"


def render_for_redshift(dbt, **environment: str):
    arguments = ("--target", "prod", "--no-introspect", "--no-populate-cache")
    hook = "{{ write_parquet_export(ref('export_fct_sales'), 'invoice_month') }}"
    return dbt("compile", "--inline", hook, *arguments, **REDSHIFT, **environment)


@pytest.mark.slow
def test_redshift_unloads_to_s3(dbt):
    outcome = render_for_redshift(dbt, PARQUET_EXPORT="s3://bucket/exports/")
    assert outcome.ok, outcome.output
    statement = " ".join(outcome.output.split())
    assert (
        """unload ('select * from "d"."exports"."export_fct_sales"') to 's3://bucket/exports/prod/fct_sales/'"""
        " iam_role default format as parquet partition by (invoice_month) cleanpath"
    ) in statement
    outcome = render_for_redshift(dbt)
    assert not outcome.ok
    assert "Redshift unloads to S3 only: set PARQUET_EXPORT" in outcome.output


@pytest.mark.parametrize("name", ["sales_workbook", "monthly_sales_notebook", "data_lake_queries"])
def test_exposures_stand_on_public_tables(built, name):
    manifest = json.loads(built.manifest.read_text())
    exposure = manifest["exposures"][f"exposure.retail_warehouse.{name}"]
    parents = [manifest["nodes"][parent] for parent in exposure["depends_on"]["nodes"]]
    assert parents
    assert {node["path"].split("/")[0] for node in parents} <= {"marts", "exports"}

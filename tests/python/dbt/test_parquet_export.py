"""The Parquet export: written when asked for, the same rows as the facts, read back by the notebook and an analysis."""

import json
import shutil
import subprocess
import sys

import duckdb
import pytest
from conftest import PROJECT
from redshift_sequence import FACTS
from shared.no_redshift import REDSHIFT

NOTEBOOK = PROJECT / "analyses/monthly_sales.ipynb"


def months(folder, fact: str) -> list[str]:
    return sorted(path.parent.name for path in (folder / fact).glob("*/*.parquet"))


def export(dbt, *, to=None, models=None, **environment: str):
    arguments = {name: value for name, value in (("to", to), ("models", models)) if value is not None}
    return dbt("run-operation", "export_parquet", "--args", json.dumps(arguments), **environment)


def test_facts_are_written_by_month_and_replaced_as_a_whole(built_dbt, tmp_path):
    dbt = built_dbt
    # Folders above are made, whatever their names are.
    folder = tmp_path / "reader's [exports]" / "a"
    outcome = export(dbt, PARQUET_EXPORT=f"{folder}/")
    assert outcome.ok, outcome.output
    assert {path.name for path in (folder / "dev").iterdir()} == set(FACTS)
    files = f"read_parquet('{path_of(folder)}/dev/fct_sales/*/*.parquet', hive_partitioning = true)"
    [(types, rows, folders)] = (
        duckdb.connect()
        .execute(
            f"""
        select list(distinct typeof(line_amount) || ' ' || typeof(invoiced_at) || ' ' || typeof(invoice_month)),
            count(*), count(*) filter (invoice_month <> date_trunc('month', invoice_date))
        from {files}
        """
        )
        .fetchall()
    )
    [(sales, first_month)] = dbt.query(
        "select count(*), date_trunc('month', min(invoice_date))::date::varchar from online_retail.fct_sales"
    )
    assert (types, rows, folders) == (["DECIMAL(18,3) TIMESTAMP DATE"], sales, 0)
    assert f"fct_sales: {sales:,} rows in {folder}/dev/fct_sales" in outcome.output

    # What was there before goes with the old files, a month that is no more and what a killed export left included.
    (folder / "dev/fct_sales/invoice_month=1999-01-01").mkdir()
    shutil.copy(next((folder / "dev/fct_sales").glob("*/*.parquet")), folder / "dev/fct_sales/invoice_month=1999-01-01")
    (folder / "dev/.fct_sales.new/x").mkdir(parents=True)
    assert "invoice_month=1999-01-01" in months(folder / "dev", "fct_sales")
    again = export(dbt, to=str(folder), models=["fct_sales", "rpt_monthly_sales", "customers"])
    assert again.ok, again.output
    assert months(folder / "dev", "fct_sales")[0] == f"invoice_month={first_month}"
    assert {path.name for path in (folder / "dev").iterdir()} == {*FACTS, "rpt_monthly_sales", "customers"}
    # Tables without a date to export by are one file each.
    for relation in ("reports.rpt_monthly_sales", "online_retail.customers"):
        name = relation.partition(".")[2]
        read = (
            duckdb.connect()
            .execute(f"from read_parquet('{path_of(folder)}/dev/{name}/*.parquet') order by all")
            .fetchall()
        )
        assert read == dbt.query(f"from {relation} order by all") != []


def path_of(folder) -> str:
    """As text in a glob between quotation marks."""
    return str(folder).replace("[", "[[]").replace("'", "''")


@pytest.mark.slow
def test_an_export_that_fails_leaves_the_old_files(built_dbt, tmp_path):
    dbt, folder = built_dbt, tmp_path / "exports"
    assert export(dbt, to=str(folder), models="fct_daily_sales").ok
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    assert before
    # Planted: a table that reads otherwise each time.
    with duckdb.connect(str(dbt.warehouse)) as connection:
        connection.execute("""
            alter table online_retail.fct_daily_sales rename to kept;
            create view online_retail.fct_daily_sales as from online_retail.kept where random() < 0.5;
            """)
    outcome = export(dbt, to=str(folder), models="fct_daily_sales")
    assert not outcome.ok
    assert "do not hold the rows of the table" in " ".join(outcome.output.split())
    assert {path: path.read_bytes() for path in (folder / "dev/fct_daily_sales").rglob("*.parquet")} == before

    (tmp_path / "file").touch()
    outcome = export(dbt, to=str(tmp_path / "file"))
    assert not outcome.ok
    assert f"{tmp_path}/file" in outcome.output
    outcome = export(dbt, to=str(folder), models=["fct_sale"])
    assert not outcome.ok
    assert "there is no model fct_sale." in outcome.output
    outcome = export(dbt, to=str(folder), models=["ftr_users"])
    assert not outcome.ok
    assert "features.ftr_users is not built yet: dbt build --select +ftr_users" in outcome.output


def test_a_table_without_rows_has_no_months(built_dbt, tmp_path):
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        connection.execute("delete from online_retail.fct_cancellations; delete from online_retail.customers")
    outcome = export(built_dbt, to=str(tmp_path), models=["fct_cancellations", "customers"])
    assert outcome.ok, outcome.output
    assert months(tmp_path / "dev", "fct_cancellations") == []
    assert duckdb.connect().execute(f"from read_parquet('{tmp_path}/dev/customers/*.parquet')").fetchall() == []


def test_the_analysis_reads_it_back(built):
    nodes = json.loads(built.manifest.read_text())["nodes"]
    sql = nodes["analysis.retail_warehouse.monthly_sales_from_parquet"]["compiled_code"]
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        expected = connection.execute(
            "select date_trunc('month', invoice_date)::date, sum(gross_amount), sum(cancellation_amount),"
            " sum(net_amount), sum(unit_count) from online_retail.fct_daily_sales group by 1 order by 1"
        ).fetchall()
    assert duckdb.connect().execute(sql).fetchall() == expected  # no warehouse attached
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


@pytest.mark.slow
def test_redshift_unloads_to_s3(dbt):
    arguments = ("--target", "prod", "--no-introspect", "--no-populate-cache")

    def render(folder: str):
        call = f"unload_statement(with_month(ref('fct_sales'), 'invoice_date'), '{folder}', 'default', 'invoice_month')"
        return dbt("compile", "--inline", "{{ " + call + " }}", *arguments, **REDSHIFT)

    outcome = render("s3://bucket/exports/prod/fct_sales")
    assert outcome.ok, outcome.output
    assert (
        "unload ('select *, cast(date_trunc(''month'', invoice_date) as date) as invoice_month"
        """ from "d"."online_retail"."fct_sales"') to 's3://bucket/exports/prod/fct_sales/'"""
        " iam_role default format as parquet partition by (invoice_month) cleanpath"
    ) in " ".join(outcome.output.split())
    outcome = render("exports/prod/fct_sales")
    assert not outcome.ok
    assert "Redshift unloads to S3 only: name a prefix" in outcome.output


@pytest.mark.parametrize("name", ["sales_workbook", "monthly_sales_notebook", "data_lake_queries"])
def test_exposures_stand_on_public_tables(built, name):
    manifest = json.loads(built.manifest.read_text())
    exposure = manifest["exposures"][f"exposure.retail_warehouse.{name}"]
    parents = [manifest["nodes"][parent] for parent in exposure["depends_on"]["nodes"]]
    assert parents
    assert {node["path"].split("/")[0] for node in parents} == {"marts"}

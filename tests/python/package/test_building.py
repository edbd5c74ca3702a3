"""`make build`: few lines while it runs, all of what failed, and at the end what there is; dbt's exit status and
arguments."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import duckdb
import pytest
from conftest import PROJECT

from retail_warehouse import building

BIN = Path(sys.executable).parent


def run(dbt, *arguments: str, **keywords) -> tuple[int, str]:
    """What `retail-warehouse build` returns and prints."""
    command = dbt.start(*arguments, is_for_people=True, **keywords)
    command.join()
    return command.exitcode, dbt.output.read_text()


@pytest.mark.slow
def test_a_build_tells_what_there_is(built_dbt, small):
    marts = ("--select", "tag:online_retail,path:models/marts", "--exclude-resource-type", "test", "unit_test")
    status, output = run(built_dbt, *marts, data=small.data)
    assert status == 0, output
    lines = output.splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120
    progress = [line for line in lines if re.fullmatch(r"  \d+ of \d+ models and tests after \d+ s", line)]
    assert len(progress) == 3
    assert re.search(r"^Built and tested in \d+ s: \d+ models\.$", output, re.MULTILINE), output
    for schema in ("instacart", "online_retail"):
        for (table,) in built_dbt.query(
            f"select table_name from information_schema.tables where table_schema = '{schema}'"
        ):
            [(rows,)] = built_dbt.query(f"select count(*) from {schema}.{table}")
            assert f" {rows:,}  rows in {schema}.{table}\n" in output
    [(net,)] = built_dbt.query("select sum(net_amount) from online_retail.fct_daily_sales")
    assert f" {net:,.2f}  pounds of net sales, 2010-12-01 to " in output
    assert " 0  rejected rows (audit.rejected_rows)\n  no warnings\n" in output
    assert "make docs" in output.partition("Next")[2]


@pytest.mark.slow
def test_what_fails_and_what_warns_is_told_with_the_message_of_dbt(built_dbt, small):
    tests = ("--select", "fct_daily_sales,resource_type:test")
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        connection.execute(
            "update online_retail.fct_daily_sales set cancellation_amount = 1 "
            "where (invoice_date, country) in "
            "(select (invoice_date, country) from online_retail.fct_daily_sales limit 2)"
        )
    warned = "accepted_range_fct_daily_sales_cancellation_amount__0"
    status, output = run(built_dbt, "--select", warned, data=small.data)
    assert status == 0, output
    assert f"  warning: {warned}, 2 rows\n" in output
    with duckdb.connect(str(built_dbt.warehouse)) as connection:
        connection.execute("update online_retail.fct_daily_sales set gross_amount = -1")
    status, output = run(built_dbt, *tests, data=small.data)
    assert status == 1
    failed = "fct_daily_sales_has_valid_values"
    assert f"  failed: {failed}\n" in output
    assert re.search(rf"in test {failed} .*\n  Got \d+ results, configured to fail", output), output
    assert re.search(rf"{failed}: gross_amount is below 0 in \d+ rows\n", output), output
    assert re.search(r"The build failed after \d+ s: .* failed \(see above\)", output)
    assert "make build VERBOSE=1" in output
    assert "PASS" not in output
    status, output = run(built_dbt, *tests, "--log-level", "info", data=small.data)
    assert status == 1
    assert "PASS" in output


@pytest.mark.slow
def test_what_keeps_dbt_from_running_is_told_once(built_dbt, tmp_path):
    status, output = run(built_dbt, "--select", "aisles", data=tmp_path / "nowhere")
    assert status == 0, "it reads no file"
    status, output = run(built_dbt, "--select", "stg_instacart__aisles", data=tmp_path / "nowhere")
    assert status == 2
    assert output.count("the folder is missing or has no CSV file") == 1
    assert "> in macro" not in output
    assert "Traceback" not in output
    status, output = run(built_dbt, "--selct", "aisles")
    assert status == 2
    assert "No such option" in output
    assert "dbt build --help" in output


def test_a_part_of_the_tables_is_told(tmp_path):
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        assert building.warehouse_summary(connection) == []
        connection.execute("create schema online_retail; create schema audit")
        connection.execute("create table online_retail.fct_daily_sales (net_amount numeric(38, 3), invoice_date date)")
        assert building.warehouse_summary(connection) == [f"{'0':>14}  rows in online_retail.fct_daily_sales"]
        connection.execute(
            "insert into online_retail.fct_daily_sales values (1234.565, '2010-12-01'), (-1, '2010-12-03')"
        )
        connection.execute(
            "create table audit.rejected_rows as select 'instacart' as source_name, 'x' as reason from range(1001)"
        )
        assert building.warehouse_summary(connection)[1:] == [
            f"{'1,233.56':>14}  pounds of net sales, 2010-12-01 to 2010-12-03 (online_retail.fct_daily_sales)",
            f"{'1,001':>14}  rejected rows (audit.rejected_rows)",
            f"{'1,001':>14}    instacart: x",
        ]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", "--no-print-directory", "-o", ".venv/.core", "-o", ".venv/.sql", "-o", "profiles.yml", *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_hands_on_arguments_and_status(tmp_path):
    program = tmp_path / "retail-warehouse"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; exit 3\n')
    program.chmod(0o755)
    given = "ARGS=--select 'a b' --vars '{x: \"y\"}'"
    done = make("build", f"BIN={tmp_path}", given)
    assert done.stdout == '<build><--select><a b><--vars><{x: "y"}>'
    assert done.returncode != 0
    assert make("build", f"BIN={tmp_path}", "VERBOSE=1").stdout == "<build><--verbose>"


def test_the_prompt_reads_the_warehouse_and_cannot_change_it(built, tmp_path):
    """The client is of another version than the DuckDB that has written the file."""
    query = """ARGS=-csv -noheader -c 'select count(*) from instacart.aisles'"""
    done = make("sql", f"BIN={BIN}", query, WAREHOUSE_PATH=str(built.warehouse))
    assert (done.stdout.strip(), done.returncode) == ("134", 0), done.stderr
    change = "ARGS=-c 'drop table instacart.aisles'"
    assert "read-only" in make("sql", f"BIN={BIN}", change, WAREHOUSE_PATH=str(built.warehouse)).stderr
    missing = make("sql", f"BIN={BIN}", WAREHOUSE_PATH=str(tmp_path / "nowhere.duckdb"))
    assert missing.returncode != 0
    assert missing.stdout == f"There is no warehouse {tmp_path}/nowhere.duckdb yet. Build it: make build\n"


def test_an_installation_shows_how_far_it_is(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"tqdm=={metadata.version('tqdm')} \\\n    --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, PROJECT / "tools/install.py", lock]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout
    assert re.fullmatch(
        rf"Installing 1 package of {lock}, 0 s\nInstalled 1 package of {lock} in \d+ s\n", installed.stdout
    )
    lock.write_text(f"no-such-package-anywhere==1 \\\n    --hash=sha256:{'0' * 64}\n")
    offline = os.environ | {"PIP_NO_INDEX": "1"}
    failed = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "No matching distribution found for no-such-package-anywhere==1" in failed.stdout

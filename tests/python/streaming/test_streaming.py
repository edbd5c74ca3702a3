"""Rows that arrive one by one end in the same tables as rows of a file."""

import contextlib
import dataclasses
import gzip
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import boto3
import duckdb
import pytest
import requests
import stream as benchmark
from click.testing import CliRunner
from conftest import MODELS, ONLINE_RETAIL, PROJECT
from moto.server import ThreadedMotoServer

from retail_warehouse.cli import main
from retail_warehouse.errors import DataError
from retail_warehouse.generate import online_retail
from retail_warehouse.serving.publish import publish, publish_deliveries
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming import commands, player, rules
from retail_warehouse.streaming.landing_folder import LandingError, LandingFolder
from retail_warehouse.streaming.merging import Folder, Merging
from retail_warehouse.streaming.micro_batches import MicroBatches
from retail_warehouse.streaming.s3_prefix import S3Prefix
from retail_warehouse.streaming.set_aside import SetAside, is_of_rows, pending

pytestmark = pytest.mark.slow

SAMPLE = PROJECT / "seeds/samples/online_retail/data.csv"
GOOD = "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom"
# A line for every reason, and lines that look odd and are none the worse.
LINES = (
    GOOD,
    GOOD,
    "c536366, 85123a , HOLDER ,-6.0,2010-12-01 08:26:00,2.550,17850.0,",
    "A536367,B,Adjust bad debt,1,12/1/10 8:26,11062.06,,United Kingdom",
    "536368,POST,,0,12/1/2010 8:26,18,,France",
    "536368,22960,FREE,1,12/1/2010 8:26,0,,France",
    '536369,22961,"JAM ""SET"", RED",1,12/1/2010 8:26,0.001,,"France"',
    '"536369","22961","needless quotes","1","12/1/2010 8:26","1","",France',
    "536369,é,Ångström,1,12/1/2010 8:26,1,,Österreich",
    "536370,85123A,HOLDER,1.5,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,13/13/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,13/12/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1.2345,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,abc,,France",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1,17850.5,France",
    "X536370,85123A,HOLDER,1,12/1/2010 8:26,1,,France",
    ",85123A,HOLDER,1,12/1/2010 8:26,1,,France",
    "536370, ,HOLDER,1,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1000001,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1,12/1/1910 8:26,1,,France",
    f"536370,85123A,{'x' * 1001},1,12/1/2010 8:26,1,,France",
    f"536370,85123A,x,1,12/1/2010 8:26,1,,{'F' * 101}",
    f"536370,{'8' * 51},x,1,12/1/2010 8:26,1,,France",
    "536370,85123A,HOLDER,1",
    "536370,85123A,HOLDER,1,12/1/2010 8:26,1,,France,more",
    '536370,85123A,"HOLDER,1,12/1/2010 8:26,1,,France',
    '536370,85123A,HOL"DER,1,12/1/2010 8:26,1,,France',
    "",
    " , , , , , , , ",
    "536372,85123A,HOLDER,1,12/30/2010 8:26,1.25,,France",  # a file's dates are read month first, and this one must be
)
LENIENT = ("--vars", "{max_rejected_rows: 1000}")
BUILD = (*MODELS, *LENIENT, *ONLINE_RETAIL)


def write(folder: Path, *lines: str, name: str = "data.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join([online_retail.HEADER, *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def compiled():
    return rules.load(PROJECT)


@pytest.fixture
def dbt(built_dbt):
    """dbt with a warehouse that holds Instacart, so that Online Retail alone needs to be built."""
    return built_dbt


def test_the_api_judges_by_the_rules_of_the_models(dbt, compiled, tmp_path):
    folder = write(tmp_path / "data", *LINES)
    outcome = dbt(*BUILD, ONLINE_RETAIL_DATA=str(folder))
    assert outcome.ok, outcome.output
    events = [rules.Event(f"data.csv:{number}", line) for number, line in enumerate(LINES, start=2)]
    verdicts = rules.Rules(compiled).judge(events)
    rejected = {
        f"{file_name}:{row_number}": rules.Rejection(reason, detail)
        for file_name, row_number, reason, detail in dbt.query(
            "select file_name, row_number, reason, detail from audit.rejected_rows where source_name = 'online_retail'"
        )
    }
    columns = ", ".join(rules.Line.__dataclass_fields__)
    accepted = {
        values[0]: rules.Line(*values) for values in dbt.query(f"select {columns} from online_retail.invoice_lines")
    }
    assert verdicts == {**accepted, **rejected}
    assert len(verdicts) == len(LINES)
    reasons = {rejection.reason for rejection in rejected.values()}
    assert reasons == {"wrong_field_count", "broken_quote", "unreadable_value", "missing_key", "out_of_domain"}
    # A second call knows nothing of the first.
    assert rules.Rules(compiled).judge(events[:1]) == {"data.csv:2": verdicts["data.csv:2"]}


def test_rules_are_compiled_anew_when_a_definition_changes(tmp_path):
    for name in ("dbt_project.yml", "seeds", "macros"):
        source = PROJECT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    (tmp_path / "target").mkdir()
    with pytest.raises(DataError, match="dbt cannot compile the rules"):
        rules.load(tmp_path)  # there are no models
    with pytest.raises(DataError, match=r"There is no dbt_project\.yml"):
        rules.load(tmp_path / "macros")


def relations(dbt) -> list[str]:
    rows = dbt.query(
        "select table_schema || '.' || table_name from information_schema.tables where table_schema in"
        " ('staging', 'intermediate', 'online_retail', 'audit') and table_name <> 'processed_files' order by all"
    )
    return [name for (name,) in rows]


def assert_equals(dbt, other: Path, names: list[str]) -> None:
    with contextlib.closing(duckdb.connect(str(dbt.warehouse), read_only=True)) as connection:
        connection.execute(f"attach '{other}' as other (read_only)")
        for name in names:
            query = f"((from {name} except all from other.{name}) union all (from other.{name} except all from {name}))"
            assert connection.execute(f"from {query}").fetchall() == [], name


def land(landing: Path, name: str, events: dict[str, str], **verdict: str) -> None:
    """Land events as the API would; with a verdict, as what is kept of a long line that was rejected."""
    day = landing / "day=2026-11-22"
    day.mkdir(parents=True, exist_ok=True)
    rows = (
        {"event_id": event_id, "landing_position": position, "line": line, **verdict}
        for position, (event_id, line) in enumerate(events.items(), start=1)
    )
    (day / f"{name}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def merged(dbt, landing: Path) -> list[str]:
    """Merge landed files that dbt has processed, two by two, and return which."""
    models = "select distinct model_name from audit.processed_files where table_name = 'streamed_lines'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retail_warehouse.streaming.merging._TOGETHER", 2)
        patch.setattr("retail_warehouse.streaming.merging._MOST_FILES", 2)
        step = Merging(Folder(landing), [name for (name,) in dbt.query(models)]).step(dbt.warehouse)
    return [Path(name).stem for name in step.removed]


def test_late_wrong_and_repeated_rows(dbt, tmp_path):
    """Micro-batches on what is landed end in the same tables as a full refresh and as a load of the same rows."""
    # Not all of its rows are streamed as well: such a file would be left out.
    folder = write(tmp_path / "data", GOOD, GOOD.replace("536365", "536399"))
    landing = tmp_path / "landing"
    environment = {"ONLINE_RETAIL_DATA": str(folder), "ONLINE_RETAIL_LANDING": str(landing)}
    assert dbt(*BUILD, **environment).ok
    rows = {f"till:{number}": line for number, line in enumerate(LINES, start=2)}
    first = dict(list(rows.items())[10:])
    # The same line as in the file, a cancellation before its sale, and rows with which something is wrong.
    first["data.csv:2"] = GOOD
    first["till:100"] = "C536400,85123A,HOLDER,-1,12/2/2010 8:26,2.55,17850,United Kingdom"
    land(landing, "b", first)

    processed = (
        "select distinct count(*) || ' files' from audit.processed_files where table_name = 'streamed_lines' group by "
        "model_name"
    )

    def micro_batch() -> str:
        outcome = dbt("build", "--selector", "micro_batch", *LENIENT, **environment)
        assert outcome.ok, outcome.output
        return outcome.output

    assert "incremental model staging.stg_online_retail__invoice_lines" not in micro_batch()
    before = dbt.query("select count(*) from online_retail.invoice_lines")
    sales = (
        "select sum(gross_amount), sum(cancellation_amount) from online_retail.fct_daily_sales"
        " where invoice_date = '2010-12-02'"
    )
    assert dbt.query(sales) == [(0, Decimal("-2.550"))]
    # The rest, whose file sorts first: late rows of a day that is there, a repeated row, and one that contradicts it.
    second = dict(list(rows.items())[:10])
    second["till:101"] = "536400,85123A,HOLDER,1,12/2/2010 8:26,2.55,17850,United Kingdom"
    second["till:12"] = rows["till:12"]
    land(landing, "a", second)
    land(landing, "c", {"till:13": GOOD})
    verdict = {"reason": "wrong_field_count", "detail": "9 fields, the header has 8"}
    land(landing, "f", {"till:200": GOOD}, digest="00", **verdict)
    micro_batch()
    kept = "select reason, detail, raw_record from audit.rejected_rows where file_name = 'till' and row_number = 200"
    assert dbt.query(kept) == [(*verdict.values(), GOOD)], "its beginning would be good"
    assert dbt.query(sales) == [(Decimal("2.550"), Decimal("-2.550"))]
    assert dbt.query("select count(*) from online_retail.invoice_lines") > before
    accepted = dbt.query("select count(*) from online_retail.invoice_lines")
    # Merged files are nothing new.
    assert merged(dbt, landing) == ["a", "b"]
    assert merged(dbt, landing) == ["c", "f"]
    assert sorted(path.name for path in landing.glob("day=*/*")) == [
        "a--day=2026-11-22--b.merged-1.ndjson",
        "c--day=2026-11-22--f.merged-1.ndjson",
    ]
    micro_batch()
    assert dbt.query("select count(*) from online_retail.invoice_lines") == accepted
    assert dbt.query(processed) == [("2 files",)]
    told = dbt("test", "--select", "streamed_lines_has_no_rejected_rows", "assert_landed_lines_are_kept", **environment)
    assert told.ok, told.output
    assert "WARN 1 streamed_lines_has_no_rejected_rows" in told.output, told.output
    contradicting = (
        "select file_name, row_number, reason, left(detail, 16), raw_record from audit.rejected_rows"
        " where table_name = 'streamed_lines' order by all"
    )
    assert dbt.query(contradicting) == [
        (
            "day=2026-11-22/c.ndjson",
            1,
            "duplicate_key",
            "the line till:13",
            "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.550,17850,United Kingdom",
        ),
    ]
    reconciled = dbt.reconciliation("online_retail")
    assert reconciled["till"] == [len(LINES) + 3, *reconciled["till"][1:]]
    assert reconciled["data.csv"] == [2, 2, 0]
    # Every data test holds, on all rows.
    outcome = dbt.build(*LENIENT, **environment)
    assert outcome.ok, outcome.output
    # Rows of merged files are tested like others, once: those of the first have passed.
    land(landing, "g", {"late:2": GOOD.replace("536365", "538001")})
    land(landing, "h", {"late:3": GOOD.replace("536365", "538002")})
    micro_batch()
    assert merged(dbt, landing) == ["g", "h"]
    test = "accepted_values_invoices_transaction_type__sale__cancellation__bad_debt__stock_adjustment__free_item"
    for invoice_no, is_seen in (("536400", False), ("538002", True)):
        spoil = f"update online_retail.invoices set transaction_type = $1 where invoice_no = '{invoice_no}'"
        with duckdb.connect(str(dbt.warehouse)) as connection:
            connection.execute(spoil, ["?"])
        assert dbt("build", "--select", test, **environment).ok != is_seen, invoice_no
        with duckdb.connect(str(dbt.warehouse)) as connection:
            connection.execute(spoil, ["sale"])

    names = relations(dbt)
    shutil.copy(dbt.warehouse, tmp_path / "streamed.duckdb")
    assert dbt(*BUILD, "--full-refresh", **environment).ok
    assert dbt.query(processed) == [("3 files",)]
    # Which of two copies of a line counts as the repeated one depends on when they came.
    compared = [name for name in names if not name.endswith(("__streamed_lines", "__data_files"))]
    assert_equals(dbt, tmp_path / "streamed.duckdb", compared)

    # A line that was streamed arrives in a file of the same name too, and counts once.
    write(folder, *LINES, name="till.csv")
    assert dbt(*BUILD, **environment).ok
    land(landing, "d", {"till.csv:2": LINES[0], "till.csv:3": LINES[1]})
    micro_batch()
    assert dbt.reconciliation("online_retail")["till.csv"][0] == len(LINES)

    # So does one whose file says something else, even of another invoice: what the file says stays.
    land(landing, "e", {"odd.csv:2": GOOD.replace("536365", "537000")})
    micro_batch()
    of_odd = "select invoice_no from online_retail.{} where file_name = 'odd.csv'"
    assert dbt.query(of_odd.format("invoice_lines")) == [("537000",)]
    write(folder, GOOD.replace("536365", "537001"), name="odd.csv")
    assert dbt(*BUILD, **environment).ok
    for table in ("invoice_lines", "fct_sales"):
        assert dbt.query(of_odd.format(table)) == [("537001",)]
    assert dbt.query("select invoice_no from online_retail.invoices where invoice_no like '53700%'") == [("537001",)]
    rejected = [row[:3] for row in dbt.query(contradicting)]
    assert rejected == [(f"day=2026-11-22/{name}.ndjson", 1, "duplicate_key") for name in "ce"]

    # A landing folder that is not there is no reason to build without its rows.
    before = dbt.query("select count(*) from online_retail.invoice_lines")
    landing.rename(tmp_path / "elsewhere")
    gone = dbt("build", "--selector", "micro_batch", **environment)
    assert not gone.ok
    assert "none of the 5 files of streamed rows" in gone.output
    unset = dbt(*BUILD, **environment | {"ONLINE_RETAIL_LANDING": ""})
    assert "ONLINE_RETAIL_LANDING is not set" in unset.output
    assert dbt.query("select count(*) from online_retail.invoice_lines") == before
    assert dbt(*BUILD, "--full-refresh", **environment | {"ONLINE_RETAIL_LANDING": ""}).ok
    assert dbt.query("select count(*) from online_retail.invoice_lines") < before


def test_a_stream_with_everything_killed_once_ends_as_a_load(tmp_path, parsed_for, monkeypatch):
    environment_of = benchmark.environment_of

    def parsed(*arguments) -> dict[str, dict[str, str]]:
        environments = environment_of(*arguments)
        for environment in environments.values():
            parsed_for(environment)
        return environments

    monkeypatch.setattr(benchmark, "environment_of", parsed)
    file = tmp_path / "data.csv"
    lines = SAMPLE.read_bytes().splitlines()[:2500]
    odd = [line.encode("latin-1") for line in LINES[:16]]
    file.write_bytes(b"\r\n".join([*lines, *odd]) + b"\r\n")
    result = benchmark.run(file, tmp_path / "run", kill=True, batch=25)
    assert result.differences == {}
    assert sorted(result.killed) == ["API", "dbt", "player"]
    assert result.compared == 12
    assert result.rows >= 1.05 * (len(lines) + len(odd) - 1)
    assert len(result.lags) >= 1
    assert "12 of 12 relations equal" in benchmark.told(result)
    # The comparison notices a row less, and one of another amount.
    with duckdb.connect(str(tmp_path / "run/stream/warehouse.duckdb")) as connection:
        connection.execute("use online_retail")
        connection.execute("delete from fct_sales where row_number = (select min(row_number) from fct_sales)")
        connection.execute(
            "update transactions set amount = 0.001 where invoice_no = (select min(invoice_no) from fct_sales)"
        )
    again = benchmark.Result()
    benchmark._compare(tmp_path / "run", again)
    assert again.differences["online_retail.fct_sales"] == 1
    assert again.differences["online_retail.transactions"] >= 2


@pytest.fixture
def tool(tmp_path, parsed_for):
    """Runs the command as a person does, with a warehouse and a landing folder of the test's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ONLINE_", "COGNITO_"))}
    shutil.copy(PROJECT / "profiles.yml.example", tmp_path / "profiles.yml")
    environment |= {
        "DBT_PROFILES_DIR": str(tmp_path),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
        "WAREHOUSE_PATH": str(tmp_path / "warehouse.duckdb"),
        "ONLINE_RETAIL_DATA": str(write(tmp_path / "data", GOOD)),
        "ONLINE_RETAIL_LANDING": str(tmp_path / "landing"),
        "SERVING_STORE": str(tmp_path / "serving.sqlite"),
    }

    parsed_for(environment)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "retail_warehouse", *arguments]
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_whole_loop_runs_by_one_command(tool, tmp_path):
    played = write(tmp_path / "played", *LINES[:12], name="till.csv")
    port = str(benchmark.free_port())
    outcome = tool("live", "--from", str(played / "till.csv"), "--until-done", "--rate", "0", "--port", port)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "12 rows in, 12 processed, 3 rejected, lag 0 s, last batch" in outcome.stdout.splitlines()[-1]
    header = PROJECT / ".streaming" / "look-ups.header"
    look_up = (
        f"curl -H @.streaming/look-ups.header 'http://127.0.0.1:{port}/transactions?InvoiceNo=536365&StockCode=85123A'"
    )
    assert f"  {look_up}\n" in outcome.stdout
    assert re.fullmatch(r"Authorization: Bearer [\w.-]+\n", header.read_text())
    assert header.stat().st_mode & 0o777 == 0o600
    # Somebody who holds the file open makes a micro-batch wait, and nothing is lost.
    land(tmp_path / "landing", "later", {"till.csv:100": GOOD})
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        [(before,)] = connection.execute("select count(*) from online_retail.invoice_lines").fetchall()
        held = tool("process", "--once")
        assert held.returncode == 1
        assert "failed, and is tried again" in held.stdout
        assert "lock" in held.stdout
    with contextlib.closing(duckdb.connect(str(tmp_path / "warehouse.duckdb"))):
        held = tool("process", "--once")
        assert held.returncode == 1
        assert "cannot be opened" in held.stderr
        assert "Traceback" not in held.stderr
    again = tool("process", "--once")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 of 13 lines rejected" in again.stdout
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from online_retail.invoice_lines").fetchall() == [(before + 1,)]


def test_the_status_line_tells_the_last_error_and_that_the_file_is_played(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(commands, "_STATUS_SECONDS", 0.05)
    log = tmp_path / "live.log"
    log.write_text("2026-11-26 05:00:00,000 INFO GET /transactions 200 1.0 ms\n123 accepted\n")
    status = commands._Status(tmp_path, log)
    assert status.line() == "0 rows in, 0 processed, 0 rejected, lag 0 s, last batch none yet"
    with log.open("a") as file:
        file.write("2026-11-26 05:00:01,000 ERROR 500: AttributeError at api.py:1\n2026-11-26 05:00:01,000 ERROR hal")
    assert status.line().endswith(", 0 s ago: 2026-11-26 05:00:01,000 ERROR 500: AttributeError at api.py:1")
    with log.open("a") as file:
        file.write("f\nhttp://127.0.0.1:8000/transactions: 500; again in 0.2 s\n")
    assert status.line().endswith(", 0 s ago: http://127.0.0.1:8000/transactions: 500; again in 0.2 s")
    status.played = "till.csv"
    with status:
        time.sleep(0.3)
    assert capsys.readouterr().out.count("till.csv is played: all of its rows were sent.") == 1


def test_a_row_to_be_looked_up_is_taken_from_what_came_in(tmp_path):
    assert commands._keys_of_landed(tmp_path) == []
    land(tmp_path, "a", {"a:2": '536365,"85123,A",x', "a:3": "", "a:4": "1,2"})
    assert commands._keys_of_landed(tmp_path) == [("536365", "85123,A"), ("1", "2")]
    (tmp_path / ".open").mkdir()
    (tmp_path / ".open" / "b").write_text('{"event_id": "b:2", "line": "7,8,9"}\n{"torn')
    assert commands._keys_of_landed(tmp_path) == [("7", "8")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_micro_batches_and_what_was_started(number):
    batches = object.__new__(MicroBatches)
    batches.run = lambda: None
    timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    timer.start()
    batches.forever(0.05, lambda batch: None)
    assert not timer.is_alive()
    started = subprocess.Popen(["sleep", "60"])

    def work() -> None:
        with contextlib.ExitStack() as stack:
            commands._end_by_signals(stack)
            stack.callback(commands._end, started)
            os.kill(os.getpid(), number)
            time.sleep(1)

    with pytest.raises(SystemExit):
        work()
    assert started.returncode == -signal.SIGTERM


def test_the_player_sends_what_stands_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(PROJECT))
    text = "\r\n".join([online_retail.HEADER, *LINES]) + "\r\n"
    # Letters that Latin-1 has, and packed.
    file = tmp_path / "till.csv.gz"
    file.write_bytes(gzip.compress(text.encode("latin-1")))
    with player.rows_of(file) as (count, rows):
        sent = list(rows)
    assert count == len(sent)
    assert [row["event_id"] for row in sent] == [f"till.csv.gz:{number}" for number in range(2, len(LINES) + 2)]
    lines = [row["raw_record"] if "raw_record" in row else player.Row(**row).event().line for row in sent]
    assert lines == list(LINES)
    assert sum("raw_record" in row for row in sent) < len(LINES) / 2
    with player.rows_of(file, after=len(LINES)) as (_, rows):
        assert [row["event_id"] for row in rows] == [f"till.csv.gz:{len(LINES) + 1}"]
    with pytest.raises(DataError, match="There is no file"), player.rows_of(tmp_path / "none.csv"):
        pass


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has put down, then accepts everything."""

    statuses: ClassVar[list[int]] = []
    bodies: ClassVar[list[list[dict]]] = []

    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.statuses.pop(0) if self.statuses else 200
        results = [{"event_id": row["event_id"], "status": "accepted", "reason": None} for row in rows]
        if status == 200:
            self.bodies.append(rows)
        content = json.dumps({"rows": results}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setattr(player, "_FIRST_PAUSE", 0.01)
    Answers.statuses, Answers.bodies = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ROWS = [{"event_id": f"t:{number}", "raw_record": GOOD} for number in range(2, 32)]


def test_the_player_tries_again_until_rows_are_taken(answers):
    Answers.statuses = [503, 429, 500, 200, 502]
    told, seen = [], []
    target = player.Api(answers, "token", told.append)
    total = player.play(ROWS, target, 0, 7, lambda rows, _: seen.extend(rows))
    assert (total.accepted, total.sent) == (30, 30)
    assert seen == ROWS
    assert sorted(row["event_id"] for rows in Answers.bodies for row in rows) == sorted(row["event_id"] for row in ROWS)
    assert [message.split(": ")[1].split(";")[0] for message in sorted(told)] == ["429", "500", "502", "503"]


def test_the_player_waits_for_an_api_that_is_away(answers, monkeypatch):
    away = player.Api("http://127.0.0.1:9", "token", lambda message: setattr(away, "_url", answers + "/transactions"))
    assert player.play(ROWS[:1], away, 0, 1, lambda *_: None).accepted == 1


def test_the_player_can_be_interrupted_while_an_api_is_away():
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            player.play(ROWS, player.Api("http://127.0.0.1:9", "token"), 0, 1, lambda *_: None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("status", [401, 403, 413, 422])
def test_the_player_stops_where_rows_will_never_be_taken(answers, status):
    # Whichever of the requests under way comes first is taken.
    Answers.statuses = [200, status, status]
    done = []
    with pytest.raises(DataError, match=f"does not take the rows: {status}"):
        player.play(ROWS, player.Api(answers, "token"), 0, 10, lambda rows, _: done.extend(rows))
    assert len(done) in (0, 10)


def test_a_rate_is_kept(answers):
    start = time.monotonic()
    player.play(ROWS, player.Api(answers, "token"), 60, 10, lambda *_: None)
    assert time.monotonic() - start >= 20 / 60


def test_a_file_is_played_into_a_folder_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(PROJECT))
    monkeypatch.setattr("retail_warehouse.serving.service.STATE", tmp_path / "state")
    folder = write(tmp_path / "data", *LINES)
    arguments = ["stream", "--from", str(folder / "data.csv"), "--to", str(tmp_path / "landing"), "--batch", "7"]
    played = CliRunner().invoke(main, arguments)
    assert f"{len(LINES)} landed, 0 duplicate, 0 rejected" in played.output
    again = CliRunner().invoke(main, arguments)
    assert f"Continuing after row {len(LINES) + 1}" in again.output
    assert "0 landed, 0 duplicate" in again.output
    # Another folder has nothing of it yet.
    elsewhere = CliRunner().invoke(main, [*arguments[:4], str(tmp_path / "elsewhere"), *arguments[5:]])
    assert f"{len(LINES)} landed" in elsewhere.output
    anew = CliRunner().invoke(main, [*arguments, "--again"])
    assert f"0 landed, {len(LINES)} duplicate" in anew.output
    # A file that has changed is another one, and a line that has changed is told.
    write(folder, *LINES[:5], GOOD.replace("6", "7"), *LINES[6:])
    changed = CliRunner().invoke(main, arguments)
    assert f"0 landed, {len(LINES) - 1} duplicate, 1 rejected (1 duplicate_key)" in changed.output
    landed = [json.loads(line) for path in (tmp_path / "landing").glob("day=*/*.ndjson") for line in path.open()]
    assert sorted(row["event_id"] for row in landed) == sorted(f"data.csv:{n}" for n in range(2, len(LINES) + 2))


def test_wrong_arguments_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    for name in ("ONLINE_RETAIL_LANDING", "RETAIL_WAREHOUSE_TOKEN", "COGNITO_ISSUER"):
        monkeypatch.delenv(name, raising=False)

    def told(*arguments: str) -> str:
        outcome = CliRunner().invoke(main, list(arguments))
        assert outcome.exit_code != 0
        assert "Traceback" not in outcome.output
        return outcome.output

    assert "Set ONLINE_RETAIL_LANDING" in told("serve")
    assert "Set ONLINE_RETAIL_LANDING" in told("process")
    assert "There is no file" in told("stream", "--from", "none.csv", "--to", "http://127.0.0.1:9")
    assert "Set RETAIL_WAREHOUSE_TOKEN" in told("stream", "--from", str(SAMPLE), "--to", "http://127.0.0.1:9")
    for to in ("localhost:8000", "127.0.0.1:8000/", "~/landing", "ftp://127.0.0.1/landing", "s3://bucket/landing"):
        assert f"(now: {to})" in told("stream", "--from", str(SAMPLE), "--to", to)
    wide = tmp_path / "wide.csv"
    wide.write_text(f"{online_retail.HEADER},Extra\n{GOOD},1\n")
    broken = tmp_path / "line\nbreak.csv"
    broken.write_text(f"{online_retail.HEADER}\n{GOOD}\n")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(b"not packed")
    for file, message in (
        (wide, "line 1: the header has 9 columns"),
        (broken, "control character"),
        (packed, "is not packed with gzip"),
    ):
        assert message in told("stream", "--from", str(file), "--to", str(tmp_path / "landing"))
    assert not (tmp_path / "landing").exists()
    monkeypatch.setenv("ONLINE_RETAIL_LANDING", str(tmp_path / "landing"))
    assert "There is no file" in told("live", "--from", "none.csv")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}: Address already in use" in told("live", "--from", str(SAMPLE), "--port", port)
        assert f"port {port}: Address already in use" in told("serve", "--port", port)
    monkeypatch.setenv("ONLINE_RETAIL_LANDING", "~/landing")
    assert "must be a folder, without ~" in told("process")
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "none.duckdb"))
    monkeypatch.setenv("SERVING_STORE", str(tmp_path / "serving.sqlite"))
    assert "run dbt build first" in told("publish")
    with contextlib.closing(duckdb.connect(str(tmp_path / "none.duckdb"))):
        pass
    assert "run dbt build first" in told("publish")
    (tmp_path / "file").touch()
    assert "Events cannot be landed in" in told("stream", "--from", str(SAMPLE), "--to", str(tmp_path / "file" / "x"))
    monkeypatch.setenv("COGNITO_ISSUER", "https://cognito-idp.eu-west-2.amazonaws.com/pool")
    assert "tokens of Cognito only" in told("token")
    monkeypatch.delenv("COGNITO_ISSUER")
    monkeypatch.setenv("RETAIL_WAREHOUSE_ENV", "production")
    assert "tokens of Cognito only" in told("token")
    monkeypatch.delenv("RETAIL_WAREHOUSE_ENV")
    monkeypatch.chdir(tmp_path)
    assert "run this in the project's folder" in told("token")
    assert not (tmp_path / ".streaming").exists()


def test_the_serving_store_is_filled_and_repaired(built, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_PATH", str(built.warehouse))
    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:
        stray = rules.Line(
            "gone:2",
            "999999",
            "X",
            "1",
            None,
            "UK",
            "sale",
            1,
            Decimal("1.000"),
            Decimal("1.000"),
            datetime(2011, 1, 1),
        )
        store.put([stray])
        with duckdb.connect(str(built.warehouse), read_only=True) as connection:
            [(lines,)] = connection.execute("select count(*) from online_retail.invoice_lines").fetchall()
            transactions = connection.execute(
                "select invoice_no, stock_code, line_count, quantity, amount from online_retail.transactions"
            ).fetchall()
        parts = []
        assert publish(store, False, parts.append) == lines == parts[-1]
        for invoice_no, stock_code, line_count, quantity, amount in transactions:
            found = store.lines(invoice_no, stock_code)
            assert (len(found), sum(line.quantity for line in found)) == (line_count, quantity)
            assert sum(line.line_amount for line in found) == amount
        assert store.lines("999999", "X")
        with pytest.raises(DataError, match=r"1 landed files are not in the warehouse yet, such as day=1/a\.ndjson"):
            publish(store, True, landed=["day=1/a.ndjson"])
        assert store.lines("999999", "X")
        assert publish(store, True) == lines
        assert not store.lines("999999", "X")
        with duckdb.connect(str(built.warehouse), read_only=True) as connection:
            [(last_row,)] = connection.execute(
                "select max(row_number) from staging.stg_online_retail__invoice_lines"
            ).fetchall()
        [delivery] = store.deliveries().values()
        assert (delivery.file_name, delivery.last_row, len(delivery.fingerprint)) == ("data.csv", last_row, 32)
        assert publish_deliveries(store) == 0, "nothing has changed"


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """Makes a warehouse of files, given as the quantities of their rows, None for one that was rejected, and of
    streamed lines."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "made.duckdb"))

    def load(files: dict[str, list[int | None]], **streamed: int) -> None:
        with duckdb.connect(str(tmp_path / "made.duckdb")) as made:
            made.execute("drop schema if exists online_retail cascade")
            for schema in ("online_retail", "audit", "staging"):
                made.execute(f"create schema if not exists {schema}")
            made.execute(
                "create table online_retail.invoice_lines as select * from (values "
                "('', '', '', '', '', '', '', 1, 1.000, 1.000, timestamp '2011-01-01', '')) as "
                f"v ({', '.join(rules.Line.__dataclass_fields__)}, file_name) limit 0"
            )
            made.execute(
                "create or replace table audit.processed_files as select '' as model_name, '' as table_name, "
                "'' as file_name, '' as fingerprint, timestamp '2011-01-01' as processed_at limit 0"
            )
            for relation in ("invoice_lines", "streamed_lines"):
                made.execute(
                    f"create or replace table staging.stg_online_retail__{relation} as select '1' as invoice_no, "
                    "'A' as stock_code, '' as file_name, 1 as row_number, '' as landing_file limit 0"
                )
            rows = [(name, at, quantity) for name, of in files.items() for at, quantity in enumerate(of, 2)]
            for name, of in files.items():
                entry = ["invoice_lines", "invoice_lines", name, str(of), datetime(2011, 1, 1)]
                made.execute("insert into audit.processed_files values (?, ?, ?, ?, ?)", entry)
            for name, at, _ in rows:
                made.execute(
                    "insert into staging.stg_online_retail__invoice_lines by name "
                    "select '1' as invoice_no, 'A' as stock_code, ? as file_name, ? as row_number",
                    [name, at],
                )
            rows += [(*place.rsplit("_", 1), quantity) for place, quantity in streamed.items()]
            for name, at, quantity in rows:
                if quantity is not None:
                    made.execute(
                        "insert into online_retail.invoice_lines values "
                        "(?, '1', 'A', '7', null, 'UK', 'sale', ?, 1, 1, '2011-01-01', ?)",
                        [f"{name}:{at}", quantity, name],
                    )

    return load


def test_look_ups_follow_the_files_that_dbt_has_loaded(loads, tmp_path):
    def found(store) -> dict[str, int]:
        return {line.invoice_line_id: line.quantity for line in store.lines("1", "A")}

    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:
        loads({"a.csv.gz": [1, 2, None], "b.csv": [], "c.csv": [5]}, till_2=9)
        one = rules.Line("", "1", "A", "7", None, "UK", "sale", 7, Decimal(1), Decimal(1), datetime(2011, 1, 1))
        ids = ("a.csv:2", "a.csv:4", "a.csv:5", "b.csv:2", "till:2")
        store.put([dataclasses.replace(one, invoice_line_id=line_id) for line_id in ids], streamed=True)
        assert publish_deliveries(store) == 3
        streamed = {"a.csv:5": 7, "b.csv:2": 7, "till:2": 7}  # no row of a file has their place
        assert found(store) == {"a.csv.gz:2": 1, "a.csv.gz:3": 2, "c.csv:2": 5, **streamed}
        assert {name: one.last_row for name, one in store.deliveries().items()} == {"a.csv": 4, "b.csv": 1, "c.csv": 2}
        assert publish_deliveries(store) == 0
        # One that is packed differently and shorter, one that is longer, one that is gone: its streamed lines count.
        loads({"a.csv": [1], "b.csv": [3, 4]}, **{"c.csv_2": 8})
        puts = []

        def fail(lines) -> None:
            puts.extend(lines)
            raise StoreError("The store is away.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "put", fail)
            with pytest.raises(DataError, match="run it again"):
                publish_deliveries(store)
        assert len(puts) == 4
        assert {name: one.fingerprint for name, one in store.deliveries().items() if name != "c.csv"} == {
            "a.csv": "",
            "b.csv": "",
        }
        assert publish_deliveries(store) == 4
        assert found(store) == {"a.csv:2": 1, "a.csv:5": 7, "b.csv:2": 3, "b.csv:3": 4, "c.csv:2": 8, "till:2": 7}
        assert {name: one.last_row for name, one in store.deliveries().items()} == {"a.csv": 2, "b.csv": 3}
        assert publish_deliveries(store) == 0


def test_a_streamed_line_that_is_not_counted_is_not_looked_up(built, tmp_path, monkeypatch):
    """A line of `data.csv.gz` stands in the place of a row of the file `data.csv`: the file counts. A line of a till
    was read by dbt and stands in no mart."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    shutil.copy(built.warehouse, tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        columns = ", ".join(rules.Line.__dataclass_fields__)
        values = connection.execute(
            f"select {columns} from online_retail.invoice_lines where invoice_line_id = 'data.csv:2'"
        ).fetchone()
        connection.execute(
            "insert into staging.stg_online_retail__streamed_lines by name "
            "select * replace ('till' as file_name), false as is_repeated, "
            "'day=1/a.ndjson' as landing_file, row_number as landing_position "
            "from staging.stg_online_retail__invoice_lines where row_number in (2, 3)"
        )
        landed = "'online_retail', 'streamed_lines', 'day=1/a.ndjson', '1', 'utf-8', now(), null, null"
        connection.execute(f"insert into audit.processed_files values ('stg_online_retail__streamed_lines', {landed})")
    line = rules.Line(*values)
    with contextlib.closing(SqliteStore(tmp_path / "serving.sqlite")) as store:

        def found() -> list[str]:
            lines = store.lines(line.invoice_no, line.stock_code)
            return [line.invoice_line_id for line in lines if line.invoice_line_id.endswith(":2")]

        store.put(dataclasses.replace(line, invoice_line_id=f"{name}:2") for name in ("data.csv.gz", "till"))
        assert found() == ["data.csv.gz:2", "till:2"]
        publish(store, False)
        assert found() == ["data.csv:2", "till:2"], "the mart does not stand for the till's file yet"
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            connection.execute(f"insert into audit.processed_files values ('invoice_lines', {landed})")
        publish(store, False)
        assert found() == ["data.csv:2"]


def test_one_landing_folder_is_read_once_and_in_order(tmp_path):
    landing = LandingFolder(tmp_path, 1 << 20, 60)
    with landing.transaction():
        landing.append([rules.Event("a:2", "ä,1"), rules.Event("a:3", "\u2028")])
    assert not list(tmp_path.glob("day=*/*"))
    landing.close()
    [path] = tmp_path.glob("day=*/*.ndjson")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["landing_position"], row["line"]) for row in rows] == [(1, "ä,1"), (2, "\u2028")]


def test_a_landing_folder_that_vanishes_is_told(tmp_path):
    batches = object.__new__(MicroBatches)
    batches._landing, batches._seen, batches._set_aside = tmp_path / "gone", {"a.ndjson"}, None
    batch = batches.run()
    assert batch
    assert not batch.ok
    assert "gone is gone; bring it back" in batch.problem


def test_rows_that_cannot_be_built_are_set_aside_and_come_back(tmp_path, monkeypatch):
    """Without dbt: a file is built unless it holds a row of an invoice that is poison now."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as made:
        made.execute("create schema audit")
        made.execute("create table audit.processed_files (model_name text, table_name text, file_name text)")
        for model in ("invoice_lines", "transactions", "invoices"):
            entry = [model, "streamed_lines", "day=2026-11-22/old.ndjson"]
            made.execute("insert into audit.processed_files values (?, ?, ?)", entry)
        made.execute("delete from audit.processed_files where file_name <> 'day=2026-11-22/old.ndjson'")
    landing, poison, asked = tmp_path / "landing", {"7", "13"}, []

    def problem_of(file: Path) -> str:
        asked.append(file)
        found = {json.loads(row)["line"].partition(",")[0] for row in file.read_text().splitlines()}
        return "Conversion Error: it does not fit" if found & poison else ""

    events = {f"till-{at % 3}:{at}": f"{at % 20},A,é" for at in range(2, 402)}
    land(landing, "a", events)
    land(landing, "b", {"other:2": "1,A"})
    land(landing, "c", {"bad:2": '" 7",A', "bad:3": "7,A"})
    land(landing, "old", {"old:2": "7,A"})
    aside = SetAside(landing, problem_of)
    poisoned = {event_id for event_id, line in events.items() if line.partition(",")[0] in poison}
    assert aside.separate(pending(landing, tmp_path / "warehouse.duckdb")) == len(poisoned) + 2 == aside.count()
    assert len(asked) < 30, "halves, not one by one"
    waiting = {event["event_id"] for path in aside.files() for event in map(json.loads, path.read_text().splitlines())}
    assert waiting == poisoned | {"bad:2", "bad:3"}
    day = landing / "day=2026-11-22"
    assert sorted(path.name for path in day.iterdir()) == ["a-rest.ndjson", "b.ndjson", "old.ndjson"]
    rest = [json.loads(row) for row in (day / "a-rest.ndjson").read_text().splitlines()]
    assert {row["event_id"]: row["line"] for row in rest} == {
        event_id: line for event_id, line in events.items() if event_id not in poisoned
    }
    assert [row["landing_position"] for row in rest] == list(range(1, len(rest) + 1))
    # They are listed, and a new index knows them, so that they are not taken in again.
    aside.enter(tmp_path / "warehouse.duckdb", "it does not fit")
    listed = "select count(*), count(distinct landing_file), any_value(problem) from audit.set_aside_lines"
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        assert connection.execute(listed).fetchall() == [(len(waiting), 2, "it does not fit")]
    opened = LandingFolder(landing, 1 << 20, 60)
    assert set(opened.known(["bad:2", "bad:3", *events, "none:2"])) == {"bad:2", "bad:3", *events}
    opened.close()
    # Tried again: those of one file can be built now.
    assert aside.try_again() == 0
    poison.remove("13")
    poison.remove("7")
    poison.add("é")
    assert aside.try_again() == len(waiting)
    assert aside.files() == []
    aside.enter(tmp_path / "warehouse.duckdb", "")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        assert connection.execute(listed).fetchall() == [(0, 0, None)]
    everything = [json.loads(row)["event_id"] for path in day.iterdir() for row in path.read_text().splitlines()]
    assert sorted(everything) == sorted([*events, "other:2", "bad:2", "bad:3", "old:2"])


@pytest.mark.parametrize(
    ("problem", "is_so"),
    [
        ("transactions: Out of Range Error: Overflow in multiplication", True),
        ("int_invoice_lines_classified: Conversion Error: Could not cast", True),
        ("IO Error: Could not set lock on file", False),
        ("Out of Memory Error: failed to allocate", False),
        ("IO Error: No space left on device", False),
        ("Catalog Error: Table does not exist", False),
        ("", False),
    ],
)
def test_what_happens_to_the_warehouse_is_no_fault_of_rows(problem, is_so):
    assert is_of_rows(problem) == is_so


@pytest.fixture
def s3():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        # What another test has left there.
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10).raise_for_status()
        client.create_bucket(Bucket="bucket")
        yield client
    finally:
        server.stop()


def keys(s3) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket="bucket").get("Contents", [])]


def test_landed_files_are_moved_to_s3(s3, tmp_path, monkeypatch):
    monkeypatch.setattr("retail_warehouse.streaming.s3_prefix._PAUSE", 0.05)
    told = []
    prefix = S3Prefix("s3://bucket/landing/", tmp_path, told.append, s3)
    land(tmp_path, "a", {"till:2": GOOD})
    (tmp_path / ".open").mkdir()
    (tmp_path / ".open" / "b").write_text("still growing")
    content = (tmp_path / "day=2026-11-22" / "a.ndjson").read_bytes()
    assert prefix.move() == 1
    assert keys(s3) == ["landing/day=2026-11-22/a.ndjson"]
    assert s3.get_object(Bucket="bucket", Key=keys(s3)[0])["Body"].read() == content
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]
    assert prefix.names() == {"day=2026-11-22/a.ndjson"}
    prefix.start()
    land(tmp_path, "c", {"till:3": GOOD})
    deadline = time.monotonic() + 10
    while len(keys(s3)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    land(tmp_path, "d", {"till:4": GOOD})
    prefix.stop()
    assert [Path(key).stem for key in keys(s3)] == ["a", "c", "d"]
    assert told == []


def test_files_stay_until_s3_takes_them(s3, tmp_path):
    land(tmp_path, "a", {"till:2": GOOD})
    with pytest.raises(LandingError, match=r"cannot be moved to s3://none.*They stay in"):
        S3Prefix("s3://none/landing", tmp_path, client=s3).move()
    assert S3Prefix("s3://bucket", tmp_path, client=s3).move() == 1
    assert keys(s3) == ["day=2026-11-22/a.ndjson"]

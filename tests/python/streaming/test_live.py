"""Everything at once by one command, and what it tells."""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import duckdb
import pytest
import stream as benchmark
from conftest import PROJECT
from shared.streamed import GOOD, LINES, land, write

from retail_warehouse import background
from retail_warehouse.streaming import live
from retail_warehouse.streaming.micro_batches import MicroBatches

pytestmark = pytest.mark.slow


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

    parsed_for(environment, for_the_player=True)

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
        assert "Starting dbt" not in held.stderr, "it is told at once"
        assert "Traceback" not in held.stderr
    again = tool("process", "--once")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 of 13 lines rejected" in again.stdout
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from online_retail.invoice_lines").fetchall() == [(before + 1,)]


def test_the_status_line_tells_the_last_error_and_that_the_file_is_played(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(live, "_STATUS_SECONDS", 0.05)
    log = tmp_path / "live.log"
    log.write_text("2026-11-26 05:00:00,000 INFO GET /transactions 200 1.0 ms\n123 accepted\n")
    status = live.Status(tmp_path, log)
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
    assert live.keys_of_landed(tmp_path) == []
    land(tmp_path, "a", {"a:2": '536365,"85123,A",x', "a:3": "", "a:4": "1,2"})
    assert live.keys_of_landed(tmp_path) == [("536365", "85123,A"), ("1", "2")]
    (tmp_path / ".open").mkdir()
    (tmp_path / ".open" / "b").write_text('{"event_id": "b:2", "line": "7,8,9"}\n{"torn')
    assert live.keys_of_landed(tmp_path) == [("7", "8")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_micro_batches_and_what_was_started(number, request):
    # Under nohup, as the tests may run, hangups are ignored.
    request.addfinalizer(functools.partial(signal.signal, number, signal.signal(number, signal.SIG_DFL)))
    batches = object.__new__(MicroBatches)
    batches.run = lambda: None
    timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    timer.start()
    batches.forever(0.05, lambda batch: None)
    assert not timer.is_alive()
    started = subprocess.Popen(["sleep", "60"])

    def work() -> None:
        with contextlib.ExitStack() as stack:
            background.end_by_signals(stack)
            stack.callback(background.end, started)
            os.kill(os.getpid(), number)
            time.sleep(1)

    with pytest.raises(SystemExit):
        work()
    assert started.returncode == -signal.SIGTERM

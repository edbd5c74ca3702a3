"""The player: it sends what stands in a file, until it is taken, and goes on where it stopped."""

import contextlib
import gzip
import http.server
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import ClassVar

import duckdb
import pytest
from click.testing import CliRunner
from conftest import PROJECT
from shared.streamed import GOOD, LINES, SAMPLE, write

from retail_warehouse import official
from retail_warehouse.cli import main
from retail_warehouse.errors import DataError
from retail_warehouse.streaming import player

pytestmark = pytest.mark.slow


@pytest.fixture
def warm_dbt(dbt, monkeypatch):
    """dbt of the tests, which has parsed the project, in the place of a process of dbt's own. That one runs in
    test_live.py and test_streaming.py."""

    def succeeds(arguments: list[str], target: Path, environment: dict[str, str]) -> bool:
        given = {name: environment[name] for name in ("WAREHOUSE_PATH", "ONLINE_RETAIL_DATA")}
        outcome = dbt(*arguments, DBT_TARGET_PATH=str(target), **given)
        print(outcome.output)
        return outcome.ok

    monkeypatch.setattr(player, "dbt_succeeds", succeeds)


@pytest.mark.usefixtures("warm_dbt")
def test_the_player_sends_what_stands_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(PROJECT))
    text = "\r\n".join([official.ONLINE_RETAIL_HEADER, *LINES]) + "\r\n"
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
    target = player.ApiTarget(answers, "token", told.append)
    total = player.play(ROWS, target, 0, 7, lambda rows, _: seen.extend(rows))
    assert (total.accepted, total.sent) == (30, 30)
    assert seen == ROWS
    assert sorted(row["event_id"] for rows in Answers.bodies for row in rows) == sorted(row["event_id"] for row in ROWS)
    assert [message.split(": ")[1].split(";")[0] for message in sorted(told)] == ["429", "500", "502", "503"]


def test_the_player_waits_for_an_api_that_is_away(answers, monkeypatch):
    away = player.ApiTarget(
        "http://127.0.0.1:9", "token", lambda message: setattr(away, "_url", answers + "/transactions")
    )
    assert player.play(ROWS[:1], away, 0, 1, lambda *_: None).accepted == 1


def test_the_player_can_be_interrupted_while_an_api_is_away():
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            player.play(ROWS, player.ApiTarget("http://127.0.0.1:9", "token"), 0, 1, lambda *_: None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("status", [401, 403, 413, 422])
def test_the_player_stops_where_rows_will_never_be_taken(answers, status):
    # Whichever of the requests under way comes first is taken.
    Answers.statuses = [200, status, status]
    done = []
    with pytest.raises(DataError, match=f"does not take the rows: {status}"):
        player.play(ROWS, player.ApiTarget(answers, "token"), 0, 10, lambda rows, _: done.extend(rows))
    assert len(done) in (0, 10)


def test_a_rate_is_kept(answers):
    start = time.monotonic()
    player.play(ROWS, player.ApiTarget(answers, "token"), 60, 10, lambda *_: None)
    assert time.monotonic() - start >= 20 / 60


@pytest.mark.usefixtures("warm_dbt")
def test_a_file_is_played_into_a_folder_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(PROJECT))
    monkeypatch.setattr("retail_warehouse.settings.STATE", tmp_path / "state")
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
    wide.write_text(f"{official.ONLINE_RETAIL_HEADER},Extra\n{GOOD},1\n")
    broken = tmp_path / "line\nbreak.csv"
    broken.write_text(f"{official.ONLINE_RETAIL_HEADER}\n{GOOD}\n")
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

"""Stores and disks that fail: an answer 503 means that nothing was taken."""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from conftest import PROJECT
from shared.api_answers import AWAY, FaultyStore, answers, sealed
from shared.api_server import GOOD, Server, landed_ids, row, statuses, wait_until

from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming import intake as intake_module
from retail_warehouse.streaming import landing_folder
from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.rows import Row
from retail_warehouse.streaming.rules import Event


@pytest.mark.parametrize("before", [[], [row(2)]])
def test_a_store_that_fails_in_the_middle_takes_nothing(serve, tmp_path, before):
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store, seal_bytes=1 if before else 1 << 20)
    if before:
        api.post(before)
        wait_until(lambda: sealed(api.folder))
    store.fails = True
    rows = [row(number) for number in range(10, 20)]
    assert answers(lambda: api.post(rows)) == AWAY
    assert answers(api.pair) == AWAY
    store.fails = False
    assert [path.stat().st_size for path in (api.folder / ".open").iterdir()] in ([0], [])
    assert statuses(api.post(rows)) == ["accepted"] * 10
    assert api.pair().json()["line_count"] == 10 + len(before)
    api.close()
    assert sorted(landed_ids(api.folder)) == sorted(one["event_id"] for one in [*before, *rows])


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync", "index"])
def test_a_full_disk_takes_nothing_and_is_told(serve, monkeypatch, caplog, failing):
    api = serve()
    api.post(row(2))
    full = OSError(28, "No space left on device")

    def half(file: int, text: bytes, offset: int) -> int:
        if len(text) < 100:
            raise full
        return real(file, text[: len(text) // 2], offset)

    def fail(*_: object) -> None:
        raise full if failing == "fdatasync" else sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        if failing == "index":
            patch.setattr(LandingFolder, "_enter", staticmethod(fail))
        else:
            real = getattr(os, failing)
            patch.setattr(landing_folder.os, failing, half if failing == "pwrite" else fail)
        for _ in range(2):
            assert answers(lambda: api.post([row(number) for number in range(3, 10)])) == AWAY
        assert statuses(api.post(row(2))) == ["duplicate"], "nothing has to be written for it"
        assert api.pair().json()["line_count"] == 1
    [path] = (api.folder / ".open").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().endswith(b"\n")
    assert "full" in caplog.text or "No space left" in caplog.text
    assert statuses(api.post([row(number) for number in range(3, 10)])) == ["accepted"] * 7
    api.close()
    assert landed_ids(api.folder) == [f"till:{number}" for number in range(2, 10)]


def test_what_a_full_disk_does_not_even_let_take_back_is_not_landed(serve, monkeypatch):
    api = serve()
    api.post(row(2))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(landing_folder.os, "fdatasync", fail)
        patch.setattr(landing_folder.os, "ftruncate", fail)
        assert answers(lambda: api.post([row(3), row(4)])) == AWAY
    assert statuses(api.post([row(4), row(5)])) == ["accepted"] * 2
    api.close()
    api = serve()
    assert "till:3" not in landed_ids(api.folder), "503 means that it was not taken"
    assert statuses(api.post([row(3), row(4), row(5)])) == ["accepted", *["duplicate"] * 2]
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 6)]


def full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


class Refusing:
    """The index of a landing, which does not take what was entered."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index

    def __getattr__(self, name: str):
        return getattr(self._index, name)

    def execute(self, statement: str, *values):
        return full() if statement == "commit" else self._index.execute(statement, *values)


ROWS = [row(3), row(4), row(5, CustomerID="1", InvoiceNo="7")]


def refused(api: Server, monkeypatch) -> None:
    """Rows that were stored for look-ups when the index fails."""
    with monkeypatch.context() as patch:
        patch.setattr(api.intake._landing, "_index", Refusing(api.intake._landing._index))
        assert answers(lambda: api.post(ROWS)) == AWAY


def taken(api: Server) -> tuple[list[str], int]:
    lines = api.pair().json()["lines"]
    return [one["invoice_line_id"] for one in lines], api.get("/customers/1/invoices").status_code


def test_503_means_that_nothing_was_taken(serve, monkeypatch):
    api = serve()
    api.post(row(2))
    refused(api, monkeypatch)
    assert taken(api) == (["till:2"], 404)
    [path] = (api.folder / ".open").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert statuses(api.post([*ROWS[:1], row(4, Quantity="7")])) == ["accepted"] * 2
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3", "till:4"]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_cannot_be_taken_back_at_once_is_taken_back_before_anybody_sees_it(serve, monkeypatch, restarted):
    monkeypatch.setattr(intake_module, "_UNDO_SECONDS", 3600.0)
    api = serve()
    api.post(row(2))
    with monkeypatch.context() as patch:
        patch.setattr(api.store, "remove", lambda lines: (_ for _ in ()).throw(StoreError("The store is away.")))
        refused(api, monkeypatch)
    assert {one.invoice_line_id for one in api.store.lines("536365", "85123A")} == {"till:2", "till:3", "till:4"}
    assert answers(api.pair) == AWAY, "it would tell of what was refused"
    assert answers(lambda: api.get("/customers/1/invoices")) == AWAY
    assert api.get("/customers/2/invoices").status_code == 404
    assert statuses(api.post(ROWS[1])) == ["accepted"], "it is sent again, and taken"
    if restarted:
        api.close()
        api = serve()
    else:
        monkeypatch.setattr(intake_module, "_UNDO_SECONDS", 0.05)
        api.intake._landing.undo(api.intake._remove)
    assert taken(api) == (["till:2", "till:4"], 404)
    assert statuses(api.post([row(2), *ROWS])) == ["duplicate", "accepted", "duplicate", "accepted"]
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 6)]
    assert list((api.folder / ".open").iterdir()) == []


def test_whoever_dies_before_the_answer_has_taken_all_or_nothing(serve, monkeypatch, judge):
    """Between any two steps: what the next process finds is landed and can be looked up, or neither."""

    class Dead(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Dead

    steps = [
        (LandingFolder, "append"),
        (landing_folder.os, "pwrite"),
        (landing_folder.os, "fdatasync"),
        (LandingFolder, "_enter"),
        (SqliteStore, "put"),
        (None, "commit"),
    ]
    for at, (owner, name) in enumerate(steps):
        api = serve()
        landing = api.intake._landing
        with monkeypatch.context() as patch:
            if owner:
                patch.setattr(owner, name, staticmethod(die) if name == "_enter" else die)
            else:
                patch.setattr(sys.modules[__name__], "full", die)
                patch.setattr(landing, "_index", Refusing(landing._index))
            # A dead process tidies nothing up.
            patch.setattr(landing, "_take_back", lambda *_: None)
            patch.setattr(landing, "_take_back_later", lambda *_: None)
            patch.setattr(api.store, "remove", lambda lines: None)
            with pytest.raises(Dead):
                api.intake._verdicts([Row(**row(10 + at)).event()], {})
        api.store.close()
        landing._index.close()
        if landing._file >= 0:
            landing._let_go()
        api = serve()
        event_id = f"till:{10 + at}"
        is_found = event_id in {one["invoice_line_id"] for one in api.pair().json().get("lines", ())}
        assert is_found == (event_id in landed_ids(api.folder)), name
        assert statuses(api.post(row(10 + at))) == ["duplicate" if is_found else "accepted"], name
        api.close()
    assert sorted(landed_ids(api.folder)) == sorted(f"till:{10 + at}" for at in range(len(steps)))


def test_nothing_is_taken_while_hardly_any_disk_is_left(serve, monkeypatch):
    api = serve()
    usage = shutil.disk_usage(api.folder)
    with monkeypatch.context() as patch:
        patch.setattr(landing_folder.shutil, "disk_usage", lambda _: usage._replace(free=2 << 20))
        assert answers(lambda: api.post(row(2))) == AWAY
        assert api.pair().status_code == 404
    assert statuses(api.post(row(2))) == ["accepted"]


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path, judge, serve):
    (tmp_path / "landing").touch()
    with pytest.raises(LandingError, match=r"landed in .*landing: .*\. Free space or give the right to write there\."):
        serve()


def test_a_folder_that_vanishes_is_told_and_back_again_serves_on(serve, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.05)
    api = serve(seal_bytes=1)
    hidden = api.folder / ".hidden"
    (api.folder / ".open").rename(hidden)
    wait_until(lambda: api.told)
    assert answers(lambda: api.post(row(2))) == AWAY
    hidden.rename(api.folder / ".open")
    assert statuses(api.post(row(2))) == ["accepted"]
    wait_until(lambda: sealed(api.folder))
    assert landed_ids(api.folder) == ["till:2"]


def test_a_folder_that_is_gone_is_called_so(serve, caplog):
    api = serve()
    hidden = api.folder.rename(api.folder.with_name("hidden"))
    assert answers(lambda: api.post(row(2))) == AWAY
    assert "The folder is gone; bring it back and start again." in caplog.text
    hidden.rename(api.folder)
    assert statuses(api.post(row(2))) == ["accepted"]


def test_a_landing_is_known_by_its_index(tmp_path):
    def identity(folder: Path) -> str:
        landing = LandingFolder(folder, 1, 1)
        landing.close()
        return landing.identity

    first = identity(tmp_path / "a")
    assert identity(tmp_path / "a") == first
    assert identity(tmp_path / "b") != first
    (tmp_path / "a").rename(tmp_path / "c")
    assert identity(tmp_path / "c") == first


def test_a_file_that_cannot_be_handed_over_is_kept_and_told(serve, monkeypatch):
    api = serve(seal_seconds=0.2)
    today = api.folder / f"day={datetime.now(UTC):%Y-%m-%d}"
    today.write_text("in the way")
    assert statuses(api.post(row(2))) == ["accepted"]
    wait_until(lambda: api.told)
    assert statuses(api.post(row(3))) == ["accepted"]
    today.unlink()
    wait_until(lambda: today.is_dir() and landed_ids(api.folder) == ["till:2", "till:3"])


LIMITED = """
import resource, sys
from pathlib import Path
from retail_warehouse.streaming.rows import Row
from retail_warehouse.serving.connections import Connections
from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.rules import Event

landing = LandingFolder(Path(sys.argv[1]), 1 << 30, 60)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
taken = 0
for number in range(100):
    try:
        with landing.transaction():
            landing.append([Event(f"{number}:{row}", "x" * 100) for row in range(2, 52)])
        taken += 1
    except LandingError as error:
        assert "File too large" in str(error) or "full" in str(error) or "I/O" in str(error), error
print(taken)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
landing.close()
"""


def test_a_real_limit_of_the_disk_leaves_whole_files(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    ids = landed_ids(tmp_path)
    assert len(ids) == len(set(ids)) == 50 * int(done.stdout)
    assert 0 < int(done.stdout) < 100


def test_a_caller_that_stops_waiting_does_not_stop_the_writer(serve, tmp_path):
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    event = Event("till:2", ",".join(GOOD.values()))
    first = api.intake.take([event])
    wait_until(lambda: store.puts == 1)
    second = api.intake.take([Event("till:3", event.line)])
    assert second.cancel()
    store.go.set()
    assert [verdict.status for verdict in first.result(10)] == ["accepted"]
    assert statuses(api.post(row(4))) == ["accepted"]


def test_an_error_that_nobody_thought_of_is_no_end_and_quotes_nothing(serve, judge, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.05)
    api = serve()

    def fail(events) -> None:
        raise error(f"something about {events}")

    with monkeypatch.context() as patch:
        patch.setattr(judge, "_judge", fail)
        error = RuntimeError
        assert answers(lambda: api.post(row())) == (500, None, '{"detail":"Internal error"}')
        error = duckdb.OutOfMemoryException
        assert answers(lambda: api.post(row())) == AWAY
        patch.setattr(LandingFolder, "take_over", lambda landing, store: fail("85123A"))
        error = RuntimeError
        wait_until(lambda: api.told)
    assert statuses(api.post(row())) == ["accepted"]
    assert "RuntimeError at " in caplog.text
    assert "OutOfMemory" in caplog.text
    for text in (caplog.text, str(api.told)):
        assert "85123A" not in text

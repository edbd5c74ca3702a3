"""Micro-batches: landed files are read once and in order, set aside where they cannot be built, and moved to S3."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import boto3
import duckdb
import pytest
import requests
from moto.server import ThreadedMotoServer
from shared.streamed import GOOD, land

from retail_warehouse.streaming import micro_batches, rules
from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.micro_batches import Batch, MicroBatches
from retail_warehouse.streaming.s3_prefix import S3Prefix
from retail_warehouse.streaming.set_aside import SetAside, is_caused_by_rows, pending_files

pytestmark = pytest.mark.slow


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
    """Without dbt: files are built unless one holds a row of an invoice that is poison now."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as made:
        made.execute("create schema audit")
        made.execute("create table audit.processed_files (model_name text, table_name text, file_name text)")
        for model in ("invoice_lines", "transactions", "invoices"):
            entry = [model, "streamed_lines", "day=2026-11-22/old.ndjson"]
            made.execute("insert into audit.processed_files values (?, ?, ?)", entry)
        made.execute("delete from audit.processed_files where file_name <> 'day=2026-11-22/old.ndjson'")
    landing, poison, asked = tmp_path / "landing", {"7", "13"}, []

    def problem_of(files: Sequence[Path]) -> str:
        asked.append(files)
        found = {json.loads(row)["line"].partition(",")[0] for file in files for row in file.read_text().splitlines()}
        return "Conversion Error: it does not fit" if found & poison else ""

    events = {f"till-{at % 3}:{at}": f"{at % 20},A,é" for at in range(2, 402)}
    land(landing, "a", events)
    land(landing, "b", {"other:2": "1,A"})
    land(landing, "c", {"bad:2": '" 7",A', "bad:3": "7,A"})
    land(landing, "old", {"old:2": "7,A"})
    aside = SetAside(landing, problem_of)
    poisoned = {event_id for event_id, line in events.items() if line.partition(",")[0] in poison}
    assert aside.separate(pending_files(landing, tmp_path / "warehouse.duckdb")) == len(poisoned) + 2 == aside.count()
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


def test_a_row_that_fits_by_itself_and_not_beside_others_is_set_aside(tmp_path, monkeypatch):
    """Without dbt: an invoice may have one row, wherever its rows are; the later one waits."""
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    landing, held = tmp_path / "landing", ["held"]

    def problem_of(files: Sequence[Path]) -> str:
        found = [json.loads(row)["line"].partition(",")[0] for file in files for row in file.read_text().splitlines()]
        found += held
        return "" if len(set(found)) == len(found) else "Constraint Error"

    for at in range(40):
        land(landing, f"f{at:02}", {f"till:{at + 2}": f"{at % 30},A"})
    land(landing, "g", {"till:99": "held,A"})
    aside = SetAside(landing, problem_of)
    names = sorted(path.relative_to(landing).as_posix() for path in landing.glob("*/*.ndjson"))
    assert aside.separate(names) == 11
    waiting = {event["event_id"] for path in aside.files() for event in map(json.loads, path.read_text().splitlines())}
    assert waiting == {f"till:{at + 2}" for at in range(30, 40)} | {"till:99"}
    # They do not come back while what they do not fit beside is in the warehouse.
    held += [str(at) for at in range(30)]
    assert aside.try_again() == 0
    held.remove("held")
    assert aside.try_again() == 1


def test_rows_are_not_blamed_for_what_fails_without_them(tmp_path):
    land(tmp_path, "a", {"till:2": "1,A"})
    aside = SetAside(tmp_path, lambda files: "Binder Error: no such column")
    assert aside.separate(["day=2026-11-22/a.ndjson"]) == 0 == aside.count()


def fake_dbt(batches: MicroBatches, problem_of) -> list[dict]:
    """Run a function in place of dbt; returns the environments it has seen."""
    seen = []

    def invoke(*arguments: str) -> Batch:
        seen.append({name: os.environ.get(name, "") for name in ("WAREHOUSE_PATH", "ONLINE_RETAIL_LANDING")})
        problem = problem_of(Path(seen[-1]["WAREHOUSE_PATH"]), Path(seen[-1]["ONLINE_RETAIL_LANDING"]))
        return Batch(not problem, 0.0, 0, problem)

    batches._invoke_dbt = invoke  # type: ignore[method-assign]
    return seen


@pytest.fixture
def batches(tmp_path, monkeypatch) -> MicroBatches:
    """Micro-batches of a landing folder with a file in the warehouse and two that are not."""
    landing = tmp_path / "landing"
    land(landing, "old", {"a:2": "1,A"})
    land(landing, "one", {"b:2": "2,A"})
    land(landing, "two", {"c:2": "3,A"})
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("ONLINE_RETAIL_LANDING", str(landing))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as made:
        made.execute("create schema audit")
        made.execute(
            "create table audit.processed_files (model_name text, table_name text, file_name text, fingerprint text)"
        )
        for model in ("invoice_lines", "transactions", "invoices"):
            entry = [model, "streamed_lines", "day=2026-11-22/old.ndjson"]
            made.execute("insert into audit.processed_files values (?, ?, ?, ?)", [*entry, f"9 bytes, in {landing}"])
    made = object.__new__(MicroBatches)
    made._landing, made._seen, made._has_failed, made._next_try = landing, set(), True, float("inf")
    made._counts, made._merging = (0, 0, 0), None
    made._set_aside = SetAside(landing, made._problem_with)
    return made


def test_rows_are_tried_on_a_copy_of_the_warehouse(batches, tmp_path):
    """What fails only beside rows of the warehouse is found, and the warehouse is not touched by trying."""

    def problem_of(file: Path, landing: Path) -> str:
        with duckdb.connect(str(file), read_only=file == tmp_path / "warehouse.duckdb") as connection:
            found = connection.execute("select count(*), any_value(fingerprint) from audit.processed_files").fetchall()
            if file != tmp_path / "warehouse.duckdb":
                connection.execute("drop table audit.processed_files")
        rows = [row for path in landing.glob("day=*/*.ndjson") for row in path.read_text().splitlines()]
        lines = {json.loads(row)["line"] for row in rows}
        assert found == [(3, f"9 bytes, in {landing}")], "the files of the warehouse have not moved"
        assert "1,A" in lines, "the file that the warehouse holds is there"
        return "Out of Range Error: Overflow in sum" if "2,A" in lines else ""

    seen = fake_dbt(batches, problem_of)
    batch = batches.run()
    assert batch
    assert batch.ok
    assert batch.set_aside == 1
    tried = {entry["WAREHOUSE_PATH"] for entry in seen[1:-1]}
    assert str(tmp_path / "warehouse.duckdb") not in tried
    assert all(Path(path).parent.parent == tmp_path for path in tried)
    assert not list(tmp_path.glob(".tried-*"))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from audit.set_aside_lines").fetchall() == [(1,)]
        assert connection.execute("select count(*) from audit.processed_files").fetchall() == [(3,)]


@pytest.mark.parametrize("trial", ["Out of Memory Error: failed to allocate", "OSError"])
def test_rows_that_cannot_be_tried_stay_where_they_are(batches, tmp_path, monkeypatch, trial):
    def problem_of(file: Path, landing: Path) -> str:
        return "Conversion Error" if file == tmp_path / "warehouse.duckdb" else trial

    fake_dbt(batches, problem_of)
    if trial == "OSError":
        monkeypatch.setattr(micro_batches.shutil, "copyfile", full_disk)
    batch = batches.run()
    assert batch
    assert not batch.ok
    assert "Conversion Error Which rows cause it could not be tried" in batch.problem
    assert len(list(batches._landing.glob("day=*/*.ndjson"))) == 3


def full_disk(*_: object) -> None:
    raise OSError("No space left on device")


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
    assert is_caused_by_rows(problem) == is_so


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

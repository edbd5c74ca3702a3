"""Streamed rows in the bucket that cannot be built are set aside and come back, and none is lost wherever it stops."""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest
from shared.aws import put
from shared.redshift_driver import RedshiftDriver

from retail_warehouse.errors import DataError
from retail_warehouse.runs import set_aside, steps
from retail_warehouse.runs.bucket import STREAMED
from retail_warehouse.runs.redshift import Dbt
from retail_warehouse.runs.run import Run
from retail_warehouse.runs.set_aside import SET_ASIDE
from retail_warehouse.streaming import micro_batches
from retail_warehouse.streaming.micro_batches import Batch
from retail_warehouse.streaming.set_aside import SetAside

POISON = "7"
FILES = {
    "day=2026-11-22/20261122T000000000001-1-a.ndjson": {"a:2": "1,A", "a:3": "7,A", "a:4": "2,B"},
    "day=2026-11-22/20261122T000000000002-1-b.ndjson": {"b:2": "3,A"},
    "day=2026-11-23/20261123T000000000001-1-c.ndjson": {"c:2": "7,é", "c:3": "7,B"},
}
BAD = {"a:3", "c:2", "c:3"}


def problem_of(files: Sequence[Path], poison: str = POISON) -> str:
    lines = [json.loads(row)["line"] for file in files for row in file.read_text().splitlines()]
    return "Out of Range Error:\n  it does not fit" if any(line.startswith(f"{poison},") for line in lines) else ""


def find(folders: dict[str, Path], tell: Callable[[str], None]) -> tuple[int, str]:
    """As DuckDB, which cannot build a row of an invoice."""
    landing = folders["ONLINE_RETAIL_LANDING"]
    pending = sorted(path.relative_to(landing).as_posix() for path in landing.glob("day=*/*.ndjson"))
    problem = problem_of([landing / name for name in pending])
    return (SetAside(landing, problem_of).separate(pending), problem) if problem else (0, "")


@pytest.fixture
def redshift(monkeypatch):
    driver = RedshiftDriver()
    monkeypatch.setattr(set_aside, "connected", lambda target: contextlib.nullcontext((driver, "")))
    return driver


@pytest.fixture
def start(bucket, tmp_path):
    """Starts a run; the rows are in the bucket."""
    for name, events in FILES.items():
        rows = [
            {"event_id": id_, "landing_position": at, "line": line} for at, (id_, line) in enumerate(events.items())
        ]
        bucket.write(f"{STREAMED}/{name}", "".join(json.dumps(row) + "\n" for row in rows).encode())
    return lambda: Run("micro-batch", bucket, tmp_path, Dbt())


SEPARATE = set_aside.separate


def separate(run: Run) -> int:
    return SEPARATE(run, {"ONLINE_RETAIL_LANDING": run.copy(STREAMED)}, find)


def events(bucket, kind: str) -> list[str]:
    """The events in all objects of a kind, with repetitions."""
    names = [name for name in bucket.files(STREAMED) if name.endswith(kind)]
    rows = [row for name in names for row in bucket.read(f"{STREAMED}/{name}")[0].splitlines()]
    return sorted(json.loads(row)["event_id"] for row in rows)


ALL = sorted(id_ for file in FILES.values() for id_ in file)


def test_rows_are_set_aside_listed_and_landed_again(bucket, start, redshift):
    run = start()
    assert separate(run) == 3
    assert events(bucket, ".rows") == sorted(BAD)
    assert events(bucket, ".ndjson") == sorted(set(ALL) - BAD)
    listed = "select landing_file, event_id, raw_record, problem from audit.set_aside_lines order by event_id"
    assert redshift.database.execute(listed).fetchall() == [
        (f".set_aside/{file}.rows", event_id, line, "Out of Range Error: it does not fit")
        for file, event_id, line in (
            ("day=2026-11-22_20261122T000000000001-1-a", "a:3", "7,A"),
            ("day=2026-11-23_20261123T000000000001-1-c", "c:2", "7,é"),
            ("day=2026-11-23_20261123T000000000001-1-c", "c:3", "7,B"),
        )
    ]
    # What is left can be built, and what is listed stays listed, once, when there is more.
    assert separate(start()) == 0
    run = start()
    put(bucket, f"{STREAMED}/day=2026-11-24/20261124T000000000001-1-d.ndjson", '{"event_id": "d:2", "line": "7,C"}\n')
    assert separate(run) == 1
    assert [row[1] for row in redshift.database.execute(listed).fetchall()] == ["a:3", "c:2", "c:3", "d:2"]
    bucket.remove(SET_ASIDE, ["day=2026-11-24_20261124T000000000001-1-d.rows"])
    run = start()
    assert set_aside.land_again(run) == "2 files with rows that were set aside"
    assert events(bucket, ".ndjson") == ALL
    assert bucket.files(SET_ASIDE) == {}
    assert redshift.database.execute(listed).fetchall() == []
    # They still cannot be built, and have the same names when they come back the next time.
    names = set(bucket.files(STREAMED))
    assert separate(start()) == 3
    set_aside.land_again(start())
    assert (events(bucket, ".ndjson"), set(bucket.files(STREAMED))) == (ALL, names)


def test_an_object_that_a_killed_run_has_left_is_replaced(bucket, start, redshift):
    put(bucket, f"{SET_ASIDE}/day=2026-11-22_20261122T000000000001-1-a.rows", '{"event_id": "x:2", "line": "7,A"}\n')
    assert separate(start()) == 3
    assert events(bucket, ".rows") == sorted(BAD)


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_no_row_is_lost_wherever_it_stops(bucket, start, redshift, monkeypatch, fails_at):
    requests: list[str] = []

    def once(name: str) -> None:
        made = getattr(bucket.client, name)

        def request(*arguments, **given):
            requests.append(name)
            if len(requests) == fails_at:
                raise OSError("away")
            return made(*arguments, **given)

        monkeypatch.setattr(bucket.client, name, request)

    run = start()
    folder = run.copy(STREAMED)
    for name in ("upload_file", "delete_object"):
        once(name)
    with pytest.raises(OSError, match="away"):
        set_aside.separate(run, {"ONLINE_RETAIL_LANDING": folder}, find)
    assert set(events(bucket, ".ndjson")) | set(events(bucket, ".rows")) == set(ALL)
    assert separate(start()) + len(BAD & set(events(bucket, ".rows"))) >= len(BAD)
    assert events(bucket, ".rows") == sorted(BAD)
    assert events(bucket, ".ndjson") == sorted(set(ALL) - BAD)


def test_a_file_that_the_api_may_still_ask_for_is_left_alone(bucket, start, redshift, monkeypatch):
    monkeypatch.setattr(set_aside.S3, "is_settled", lambda place, name, size: "-c." not in name)
    before = bucket.files(STREAMED)
    with pytest.raises(DataError, match=r"3 streamed rows cannot be built \(Out of Range.*\)\. The next run sets them"):
        separate(start())
    assert bucket.files(STREAMED) == before
    assert redshift.asked == []


def test_redshift_that_refuses_the_list_is_told(bucket, start, redshift):
    from redshift_connector import ProgrammingError

    redshift.execute = lambda sql, values: (_ for _ in ()).throw(ProgrammingError("no permission"))
    with pytest.raises(DataError, match="The target prod refuses a query: no permission"):
        separate(start())
    assert events(bucket, ".rows") == sorted(BAD)


class Building(Dbt):
    """dbt on Redshift, which fails while a row is there that it cannot build."""

    def __init__(self, bucket) -> None:
        super().__init__()
        self._bucket = bucket
        self.built: list[tuple[str, ...]] = []

    def build(self, *arguments: str) -> str:
        self.built.append(arguments)
        if BAD & set(events(self._bucket, ".ndjson")):
            raise DataError("dbt build failed")
        return "dbt build"


@pytest.mark.parametrize("step", [steps.build, steps.build_streamed])
def test_a_build_goes_on_without_rows_that_it_cannot_build(bucket, start, redshift, monkeypatch, step):
    run = start()
    run.dbt = Building(bucket)
    done = []
    monkeypatch.setattr(run.dbt, "last_processed", lambda: "")
    monkeypatch.setattr(steps.set_aside, "separate", lambda run, folders: separate(run))
    for name in ("land_online_retail", "load_online_retail", "land_streamed", "load_streamed"):
        monkeypatch.setattr(steps, name, lambda run, name=name: done.append(name))
    assert step(run).endswith("; 3 streamed rows cannot be built and were set aside (audit.set_aside_lines)")
    kind = "online_retail" if step is steps.build else "streamed"
    assert done == [f"land_{kind}", f"load_{kind}"]
    assert len(run.dbt.built) == 2
    assert len(set(run.dbt.built)) == 1
    # Where rows are not to blame, the failure stays.
    monkeypatch.setattr(steps.set_aside, "separate", lambda run, folders: 0)
    set_aside.land_again(run)
    with pytest.raises(DataError, match=r"^dbt build failed$"):
        step(run)

    def untried(*_) -> int:
        raise DataError("the disk is full")

    monkeypatch.setattr(steps.set_aside, "separate", untried)
    with pytest.raises(DataError, match=r"^dbt build failed Streamed rows were not set aside: the disk is full$"):
        step(run)


def test_a_nightly_run_tries_again_what_is_set_aside(bucket, start, redshift, monkeypatch):
    monkeypatch.setattr(steps, "forget_another_warehouse", lambda run: None)
    assert steps.nightly(start())[0].name != "land_set_aside"
    separate(start())
    first = steps.nightly(start())[0]
    assert first.name == "land_set_aside"
    assert first.do(start()) == "2 files with rows that were set aside"


def test_duckdb_finds_the_rows_beside_those_that_it_can_build(tmp_path, monkeypatch):
    """All but dbt itself: what it would see as warehouse and landing folder."""
    landing, data, seen = tmp_path / "streamed", tmp_path / "raw", []
    for name, rows in FILES.items():
        path = landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"event_id": id_, "line": line}) + "\n" for id_, line in rows.items()))

    def invoke(self, *arguments: str) -> Batch:
        folder, file = Path(os.environ["ONLINE_RETAIL_LANDING"]), micro_batches.warehouse()
        files = sorted(folder.glob("day=*/*.ndjson"))
        seen.append((file.name, file.is_file(), len(files), Path(os.environ["ONLINE_RETAIL_DATA"])))
        with duckdb.connect(str(file)) as connection:
            connection.execute("create schema if not exists audit")
            columns = "model_name text, table_name text, file_name text, fingerprint text"
            connection.execute(f"create table if not exists audit.processed_files ({columns})")
        problem = problem_of(files)
        return Batch(not problem, 0.0, 0, problem)

    class Parsed:
        success = True
        result = type("Manifest", (), {"nodes": {}})()

        def __init__(self, manifest=None) -> None:
            pass

        def invoke(self, arguments):
            return self

    monkeypatch.setattr("dbt.cli.main.dbtRunner", Parsed)
    monkeypatch.setattr(micro_batches.MicroBatches, "_invoke_dbt", invoke)
    folders = {"ONLINE_RETAIL_DATA": data, "ONLINE_RETAIL_LANDING": landing}
    assert set_aside.find(folders, lambda line: None) == (3, "Out of Range Error:\n  it does not fit")
    # First everything but streamed rows, then copies of that warehouse.
    assert seen[0] == ("tried.duckdb", False, 0, data.resolve())
    assert {one[:2] for one in seen[1:]} == {("tried.duckdb", True)}
    assert {path.name for path in landing.glob("*/*") if path.name != "lock"} == {
        "20261122T000000000001-1-a-rest.ndjson",
        "20261122T000000000002-1-b.ndjson",
        "day=2026-11-22_20261122T000000000001-1-a.rows",
        "day=2026-11-23_20261123T000000000001-1-c.rows",
    }
    assert set_aside.find(folders, lambda line: None) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"streamed"}

"""Landed files that dbt has processed are merged, and nothing is lost or counted twice wherever it is killed."""

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import boto3
import duckdb
import pytest
from moto import mock_aws

from retail_warehouse.streaming import merging, micro_batches
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.merging import Folder, MergeError, Merging, place_of
from retail_warehouse.streaming.micro_batches import Batch, MicroBatches
from retail_warehouse.streaming.s3_prefix import S3Prefix

pytestmark = pytest.mark.slow

MODELS = ["stg_online_retail__streamed_lines", "invoice_lines", "transactions"]
SETTINGS = ", in /landing, online_retail_day_first False"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """Processes are killed here, not machines."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(merging, "sync", lambda _: None)


def content(*events: str) -> bytes:
    rows = ({"event_id": event, "landing_position": at, "line": f"{event},é"} for at, event in enumerate(events, 1))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def landed(count: int, day: int = 22) -> dict[str, bytes]:
    """Files of one to three rows each."""
    names = (f"day=2026-11-{day}/202611{day}T{at:09d}-1-ab.ndjson" for at in range(count))
    return {name: content(*(f"till:{name}{row}" for row in range(at % 3 + 1))) for at, name in enumerate(names)}


def put(landing: Path, files: dict[str, bytes]) -> None:
    for name, text in files.items():
        (landing / name).parent.mkdir(parents=True, exist_ok=True)
        (landing / name).write_bytes(text)


class Warehouse:
    """A ledger in memory, which :class:`Merging` opens instead of a file."""

    clock: "Clock | None" = None  # that kills between statements

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("create schema audit")
        self.connection.execute(
            "create table audit.processed_files (model_name text, source_name text, table_name text, file_name text,"
            " fingerprint text, encoding text, processed_at timestamp, tested_at timestamp, content text)"
        )

    def open(self, _: str) -> "Warehouse.Opened":
        return Warehouse.Opened(self)

    class Opened:
        def __init__(self, of: "Warehouse") -> None:
            self._cursor = of.connection.cursor()
            self.execute = of.clock.around(self._cursor.execute) if of.clock else self._cursor.execute

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            self._cursor.close()  # as a file that is closed, and opened by another process

    def process(self, files: dict[str, bytes], models: Sequence[str] = MODELS, tested: bool = False) -> None:
        """Enter files into the ledger, as the hooks of the models do."""
        for at, (name, text) in enumerate(files.items()):
            entry = [list(models), name, f"{len(text)} bytes{SETTINGS}", f"2026-11-23 00:00:{at % 60:02}", tested]
            self.connection.execute(
                "insert into audit.processed_files select unnest($1), 'online_retail', 'streamed_lines', $2, $3, "
                "'utf-8', $4, case when $5 then timestamp '2026-11-24' end, '1 rows, 1'",
                entry,
            )

    def ledger(self) -> dict[str, Counter]:
        """The files and fingerprints that each model stands for."""
        rows = self.connection.execute("select model_name, file_name, fingerprint from audit.processed_files")
        found: dict[str, Counter] = {model: Counter() for model in MODELS}
        for model, name, version in rows.fetchall():
            found[model][name, version] += 1
        return found


@pytest.fixture
def warehouse(monkeypatch):
    made = Warehouse()
    monkeypatch.setattr(merging.duckdb, "connect", made.open)
    yield made
    made.connection.close()


FILE = Path("in_memory")


def rows_of(name: str, text: bytes) -> list[tuple]:
    rows = map(json.loads, text.splitlines())
    return [(row.get("landing_file", name), row["landing_position"], row["event_id"], row["line"]) for row in rows]


def read(place: merging.Place, processed: set[str]) -> tuple[set[str], Counter]:
    """The files that dbt reads, and their rows."""
    names = merging.to_be_read(place.sizes(), place.notes().values(), processed)
    rows: list[tuple] = []
    for name in names:
        with place.read(name) as file:
            rows += rows_of(name, file.read())
    return names, Counter(rows)


class Killed(BaseException):
    """No code of a killed process runs."""


class Clock:
    """Kills at a moment: before or after each thing that is done."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def around(self, work):
        def done(*arguments):
            self.tick()
            result = work(*arguments)
            self.tick()
            return result

        return done


class Mortal:
    """A place whose every change may be the last."""

    def __init__(self, place: merging.Place, clock: Clock) -> None:
        self.name, self.sizes, self.is_settled = place.name, place.sizes, place.is_settled
        self.notes, self.alone, self.read = place.notes, place.alone, place.read
        self._place = place
        self._clock = clock
        self._write = clock.around(place.write)
        self._remove = clock.around(place.remove)

    def write(self, name: str, fill) -> int:
        def fill_in_part(file) -> int:
            size = fill(file)
            self._clock.tick()
            return size

        return self._write(name, fill_in_part)

    def remove(self, names) -> None:
        for name in names:
            self._remove([name])


def merge_until_killed(place: merging.Place, warehouse: Warehouse, moment: int) -> bool:
    """Merge until there is nothing to merge; returns whether it was killed."""
    warehouse.clock = Clock(moment)
    work = Merging(Mortal(place, warehouse.clock), MODELS)
    try:
        while work.step(FILE).made:
            pass
    except Killed:
        return True
    finally:
        warehouse.clock = None
    return False


def assert_whole(place: merging.Place, warehouse: Warehouse, rows: Counter) -> None:
    """dbt finds each row once, and no file that is new to it, changed or gone."""
    of_models = warehouse.ledger()
    processed = {name for name, _ in of_models[MODELS[0]]}
    names, found = read(place, processed)
    assert found == rows
    sizes = place.sizes()
    now = Counter((name, f"{sizes[name]} bytes{SETTINGS}") for name in names)
    assert all(entries == now for entries in of_models.values())
    # A warehouse that is made anew reads each row once as well.
    assert read(place, set())[1] == rows


def test_nothing_is_lost_wherever_it_is_killed(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    files = landed(5)
    rows = Counter(row for name, text in files.items() for row in rows_of(name, text))
    final = None
    for moment in itertools.chain([1_000_000], itertools.count()):
        place = Folder(tmp_path / str(moment))
        put(tmp_path / str(moment), files)
        warehouse.connection.execute("delete from audit.processed_files")
        warehouse.process(files)
        is_killed = merge_until_killed(place, warehouse, moment)
        assert_whole(place, warehouse, rows)
        while Merging(place, MODELS).step(FILE).made:
            pass
        assert_whole(place, warehouse, rows)
        state = (place.sizes(), warehouse.ledger())
        final = final or state
        assert state == final
        assert place.notes() == {}
        if not is_killed and moment < 1_000_000:
            break
    assert moment > 50
    assert sorted(place.sizes()) == [
        f"{name[: -len('.ndjson')]}--day=2026-11-22--20261122T00000000{last}-1-ab.merged-2.ndjson" if last else name
        for name, last in ((min(files), 3), (max(files), 0))
    ]


@pytest.fixture
def s3(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client


def fill(client, files: dict[str, bytes]) -> None:
    for found in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=found["Key"])
    for name, text in files.items():
        client.put_object(Bucket="bucket", Key=f"landing/{name}", Body=text)


def test_nothing_is_lost_on_s3_wherever_it_is_killed(s3, warehouse, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    files = landed(2)
    rows = Counter(row for name, text in files.items() for row in rows_of(name, text))
    place = place_of("s3://bucket/landing", s3)
    for moment in itertools.count():
        fill(s3, files)
        warehouse.connection.execute("delete from audit.processed_files")
        warehouse.process(files)
        is_killed = merge_until_killed(place, warehouse, moment)
        assert_whole(place, warehouse, rows)
        while Merging(place, MODELS).step(FILE).made:
            pass
        assert_whole(place, warehouse, rows)
        assert [merging._level(name) for name in place.sizes()] == [1]
        assert place.notes() == {}
        if not is_killed:
            break
    assert moment > 15


def test_a_file_that_was_put_before_a_kill_and_merged_since_is_not_put_again(s3, warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    files = landed(3)
    fill(s3, files)
    warehouse.process(files)
    place = place_of("s3://bucket/landing", s3)
    assert len(Merging(place, MODELS).step(FILE).removed) == 2
    names, rows = read(place, set())
    # The API was killed after it had put the first, and before it had put another one of about the same time.
    between = min(files).replace("-1-ab", "-2-ab")
    put(tmp_path / "local", {min(files): files[min(files)], between: content("other:2")})
    assert S3Prefix("s3://bucket/landing", tmp_path / "local", client=s3).move() == 1
    assert read(place, set()) == (names | {between}, rows + Counter(rows_of(between, content("other:2"))))
    assert not list((tmp_path / "local").rglob("*.ndjson"))


def test_what_may_still_be_asked_for_on_s3_is_not_merged(s3, warehouse, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    files = landed(5)
    names = sorted(files)
    now = datetime.now(UTC)
    young = f"day={now:%Y-%m-%d}/{now - merging.UNSETTLED / 2:%Y%m%dT%H%M%S%f}-1-ab.ndjson"
    files |= {names[1]: b"", young: content("young:2")}
    fill(s3, files)
    warehouse.process(files)
    place = place_of("s3://bucket/landing", s3)
    work = Merging(place, MODELS)
    # An empty one holds its name for a commit that was refused, whatever its age.
    assert set(work.step(FILE).removed) == {names[0], *names[2:]}
    assert set(place.sizes()) > {names[1], young}
    merged = [json.loads(one) for one in merging.merged_rows(place, names[2])]
    assert [(one["landing_file"], one["line"]) for one in merged] == [
        (name, line) for name, _, _, line in rows_of(names[2], files[names[2]])
    ]
    assert merging.merged_rows(place, young) == []


def test_who_makes_a_file_on_s3_that_is_there_already_gives_up(s3, warehouse, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    files = landed(2)
    fill(s3, {**files, merging._merged_name(list(files), 1): b"of another"})
    warehouse.process(files)
    work = Merging(place_of("s3://bucket/landing", s3), MODELS)
    with pytest.raises(MergeError, match=r"Landed files in s3://bucket/landing are not merged: .*PreconditionFailed"):
        work.step(FILE)
    assert {name for name, _ in warehouse.ledger()[MODELS[0]]} == set(files)


@pytest.fixture
def folder(warehouse, tmp_path, monkeypatch):
    """A landing folder, merged by twos."""
    monkeypatch.setattr(merging, "_TOGETHER", 2)
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


def step(folder: Path) -> list[str]:
    return sorted(Merging(Folder(folder), MODELS).step(FILE).removed)


def test_only_files_that_every_model_has_processed_as_they_are_are_merged(folder, warehouse):
    files = landed(8)
    names = sorted(files)
    put(folder, files)
    warehouse.process({name: files[name] for name in names[:2]}, MODELS[:2])  # not by all
    warehouse.process({names[2]: files[names[2]]})
    warehouse.process({names[3]: files[names[3]] + b"it was longer"})
    warehouse.process({names[4]: files[names[4]]}, tested=True)
    odd = {"day=2026-11-22/a--b.ndjson": content("a:2"), "other/c.ndjson": content("a:3")}
    put(folder, odd)
    warehouse.process(odd)
    assert step(folder) == []
    warehouse.process({name: files[name] for name in names[:2]}, MODELS[2:])
    assert step(folder) == names[:2]
    assert step(folder) == []
    warehouse.process({names[5]: files[names[5]]}, tested=True)
    assert step(folder) == names[4:6], "those with tested rows by themselves"
    entries = warehouse.connection.execute(
        "select distinct file_name like '%.merged-%', tested_at is null, content, encoding, count(*)"
        " from audit.processed_files where file_name like '%.merged-%' group by all order by all"
    ).fetchall()
    assert entries == [(True, False, None, "utf-8", 3), (True, True, None, "utf-8", 3)]


def test_a_month_of_files_becomes_few_and_each_row_is_rewritten_a_few_times(folder, warehouse, monkeypatch):
    monkeypatch.setattr(merging, "_TOGETHER", 4)
    written = most = 0
    files = landed(64)
    rest = iter(files.items())
    while some := dict(itertools.islice(rest, 4)):
        put(folder, some)
        warehouse.process(some)
        written += Merging(Folder(folder), MODELS).step(FILE).written
        most = max(most, len(Folder(folder).sizes()))
    while made := Merging(Folder(folder), MODELS).step(FILE).written:
        written += made
    [name] = Folder(folder).sizes()
    assert name.endswith(".merged-3.ndjson")
    assert most <= 10, "at most three of each size"
    assert written / Folder(folder).sizes()[name] < 3.01
    assert warehouse.connection.execute("select count(*) from audit.processed_files").fetchall() == [(len(MODELS),)]


def test_large_files_stay_as_they_are(folder, warehouse, monkeypatch):
    files = {f"day=2026-11-22/{name}.ndjson": content(*(["e:2"] * rows)) for name, rows in (("a", 1), ("b", 9))}
    files |= {f"day=2026-11-22/{name}.ndjson": content(*(["e:2"] * rows)) for name, rows in (("c", 2), ("d", 3))}
    monkeypatch.setattr(merging, "_TOGETHER", 32)
    monkeypatch.setattr(merging, "_LARGEST", len(files["day=2026-11-22/d.ndjson"]) * 2)
    put(folder, files)
    warehouse.process(files)
    assert step(folder) == []
    more = {"day=2026-11-22/e.ndjson": content("e:2")}
    put(folder, more)
    warehouse.process(more)
    # a, c and d are as large as a merged file may be.
    assert step(folder) == [f"day=2026-11-22/{name}.ndjson" for name in "acd"]
    assert step(folder) == []


def test_folders_of_past_days_go_with_their_files(folder, warehouse):
    old = {name.replace("2026-11", "2025-11"): text for name, text in landed(2).items()}
    old |= {name.replace("2026-11-22", "2025-11-23"): text for name, text in landed(2).items()}
    put(folder, old)
    warehouse.process(old)
    assert step(folder) == sorted(old)
    assert step(folder) != []
    assert not (folder / "day=2025-11-23").exists()
    assert (folder / "day=2025-11-22").exists()


def test_who_holds_the_warehouse_or_merges_too_is_waited_for(folder, warehouse, monkeypatch):
    files = landed(2)
    put(folder, files)
    warehouse.process(files)
    with Folder(folder).alone():
        assert step(folder) == []

    def fails(_: str):
        raise duckdb.IOException("Could not set lock on file")

    with monkeypatch.context() as patch:
        patch.setattr(merging.duckdb, "connect", fails)
        assert step(folder) == []
    warehouse.connection.execute("alter table audit.processed_files rename to gone")
    with pytest.raises(MergeError, match=r"Landed files in .*landing are not merged: .*processed_files"):
        step(folder)
    warehouse.connection.execute("alter table audit.gone rename to processed_files")
    assert step(folder) == sorted(files)


def test_a_file_that_is_no_json_is_told_and_stays(folder, warehouse):
    files = landed(1) | {"day=2026-11-22/x.ndjson": b"no json\n"}
    put(folder, files)
    warehouse.process(files)
    for _ in range(2):
        with pytest.raises(MergeError, match=r"day=2026-11-22/x\.ndjson holds a line that is no JSON object"):
            step(folder)
    assert set(Folder(folder).sizes()) == set(files)


def test_a_new_list_of_events_knows_those_of_merged_files(folder, warehouse):
    files = landed(3)
    put(folder, files)
    warehouse.process(files)
    step(folder)
    events = [row[2] for name, text in files.items() for row in rows_of(name, text)]
    with contextlib.closing(LandingFolder(folder, 1 << 20, 60)) as opened:
        assert set(opened.known([*events, "none:2"])) == set(events)


def test_files_are_private(folder, warehouse):
    files = landed(2)
    put(folder, files)
    warehouse.process(files)
    step(folder)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert (folder / merging.NOTES).stat().st_mode & 0o777 == 0o700


def test_a_micro_batch_merges_and_does_not_take_merged_files_for_new_ones(folder, warehouse):
    files = landed(5)
    put(folder, files)
    warehouse.process(files)
    batches = object.__new__(MicroBatches)
    batches._landing, batches._set_aside, batches._merging = folder, None, Merging(Folder(folder), MODELS)
    batches._seen = {Path(name).name for name in files}
    assert batches._merge() == ""
    assert len(Folder(folder).sizes()) == 3
    assert batches.run() is None, "nothing was landed since"
    put(folder, {"day=2026-11-22/x.ndjson": b"no json\n", "day=2026-11-22/y.ndjson": b"no json\n"})
    warehouse.process({"day=2026-11-22/x.ndjson": b"no json\n", "day=2026-11-22/y.ndjson": b"no json\n"})
    [note] = Batch(True, 1.0, 7, not_merged=batches._merge()).notes
    assert note.startswith(f"Landed files in {folder} are not merged: ")


def test_models_that_note_landed_files_are_found_in_the_manifest():
    def node(name: str, parents: tuple[str, ...] = (), resource_type: str = "model", **meta) -> SimpleNamespace:
        depends_on = SimpleNamespace(nodes=list(parents))
        config = SimpleNamespace(meta=meta)
        return SimpleNamespace(
            unique_id=name, name=name, resource_type=resource_type, config=config, depends_on=depends_on
        )

    staged = "stg_online_retail__streamed_lines"
    nodes = [
        node(staged, ("a source",), processed_by="landing_file"),
        node("stg_other", processed_by="file_name"),
        node("unioned", (staged, "stg_other")),
        node("invoice_lines", ("unioned",), processed_by="invoice_line_id"),
        node("customers", ("invoice_lines",)),
        node("orders", ("stg_other", "a"), processed_by="order_id"),
        node("a", (staged,), resource_type="test"),
    ]
    manifest = SimpleNamespace(nodes={one.unique_id: one for one in nodes})
    assert micro_batches.models_by_landed_file(manifest) == [staged, "invoice_lines"]

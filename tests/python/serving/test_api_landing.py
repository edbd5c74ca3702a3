"""The landing folder of the API: what is answered is landed for good, exactly once."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shared.api_answers import sealed
from shared.api_server import GOOD, landed, landed_ids, row, statuses, wait_until

from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.streaming import intake as intake_module
from retail_warehouse.streaming import landing as landings
from retail_warehouse.streaming import landing_folder
from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import LandingFolder


def test_a_file_is_handed_over_by_size(serve):
    api = serve(seal_bytes=2_000)
    for number in range(2, 32):
        assert statuses(api.post(row(number))) == ["accepted"]
    wait_until(lambda: len(landed_ids(api.folder)) >= 20)
    files = landed(api.folder)
    assert len(files) >= 2
    assert all(2_000 <= path.stat().st_size < 2_400 for path in sealed(api.folder))
    assert landed_ids(api.folder) == [f"till:{number}" for number in range(2, 2 + len(landed_ids(api.folder)))]


def test_a_file_is_handed_over_by_age_whatever_the_clock_says(serve, monkeypatch):
    api = serve(seal_seconds=0.5)
    start = time.monotonic()
    api.post(row(2))
    assert sealed(api.folder) == []
    now = time.time
    monkeypatch.setattr(landing_folder.time, "time", lambda: now() - 86_400)
    wait_until(lambda: sealed(api.folder), 3)
    assert 0.4 < time.monotonic() - start < 3
    assert landed_ids(api.folder) == ["till:2"]
    assert list((api.folder / ".open").iterdir()) == []


def test_a_clock_that_jumps_loses_nothing(serve, monkeypatch):
    times = [datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(days=days) for days in (0, 400, -9_000, 0, 0)]
    given = iter(times)

    class Jumping(datetime):
        @classmethod
        def now(cls, zone=None):
            return next(given)

    monkeypatch.setattr(landings, "datetime", Jumping)
    api = serve(seal_bytes=1)
    for number in range(2, 7):
        assert statuses(api.post(row(number))) == ["accepted"]
        wait_until(lambda number=number: len(sealed(api.folder)) == number - 1)
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 7)]
    days = sorted(path.parent.name for path in sealed(api.folder))
    assert days == ["day=2002-04-02", "day=2026-11-22", "day=2026-11-22", "day=2026-11-22", "day=2027-12-27"]
    monkeypatch.undo()
    api.close()
    api = serve()
    assert statuses(api.post([row(number) for number in range(2, 7)])) == ["duplicate"] * 5


class Disk:
    """What of the landing folder would survive a power cut now: what was synced."""

    def __init__(self, monkeypatch) -> None:
        self.files: dict[str, bytes] = {}
        self.names: dict[str, set[str]] = {}

        def sync(real, descriptor: int) -> None:
            real(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                self.names[str(path)] = {name.name for name in path.iterdir()}
            else:
                self.files[path.name.removesuffix(".ndjson").removesuffix(".whole")] = path.read_bytes()

        for name in ("fsync", "fdatasync"):
            real = getattr(os, name)
            monkeypatch.setattr(landing_folder.os, name, lambda descriptor, real=real: sync(real, descriptor))

    def holds(self, folder: Path) -> list[str]:
        """Events of files that have their name and their content."""
        found = []
        for part in (folder / ".open", *(folder / name for name in self.names.get(str(folder), ()))):
            for name in self.names.get(str(part), ()):
                content = self.files.get(name.removesuffix(".ndjson"), b"")
                found += [json.loads(line)["event_id"] for line in content.splitlines()]
        return found


def test_what_is_acknowledged_survives_a_power_cut(serve, monkeypatch):
    disk = Disk(monkeypatch)
    api = serve(seal_bytes=1_000)
    assert api.intake._landing._index.execute("pragma synchronous").fetchone() == (2,)
    assert ".open" in disk.names[str(api.folder)]
    assert api.folder.name in disk.names[str(api.folder.parent)]
    for number in range(2, 42, 2):
        assert statuses(api.post([row(number), row(number + 1)])) == ["accepted"] * 2
        assert {f"till:{number}", f"till:{number + 1}"} <= set(disk.holds(api.folder))
    api.close()
    assert sorted(set(disk.holds(api.folder))) == sorted(f"till:{number}" for number in range(2, 42))
    days = {path.parent for path in sealed(api.folder)}
    assert {name for day in days for name in disk.names[str(day)]} == {path.name for path in sealed(api.folder)}


def test_a_file_of_another_day_is_durable_when_taken_over(serve, monkeypatch):
    api = serve()
    api.close()
    left_behind(api.folder, "20261101T000000-1-dead", [row(2)])
    disk = Disk(monkeypatch)
    api = serve()
    assert disk.holds(api.folder) == ["till:2"]


def left_behind(folder: Path, name: str, rows: list[dict], torn: bytes = b"") -> None:
    """What a killed process left."""
    line = ",".join(GOOD.values())
    records = [
        {"event_id": one["event_id"], "landing_position": position, "line": line}
        for position, one in enumerate(rows, start=1)
    ]
    (folder / ".open" / name).write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records) + torn)


def test_what_a_killed_process_left_is_taken_over_without_what_others_took_in(serve, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.1)
    api = serve()
    api.post([row(3), row(4, Quantity="x")])
    time.sleep(0.3)  # now it waits for more
    name = "20261101T000000-1-dead"
    left_behind(api.folder, name, [row(2), row(3), row(4), row(5)], b'{"event_id": "till:6", "landing_pos')
    (api.folder / ".open" / "20261101T000000-2-empty").touch()
    wait_until(lambda: sealed(api.folder))
    assert [event["event_id"] for event in landed(api.folder)[f"{name}.ndjson"]] == ["till:2", "till:5"]
    assert api.pair().json()["line_count"] == 3
    assert statuses(api.post([row(2), row(3), row(5), row(6)])) == ["duplicate"] * 3 + ["accepted"]
    wait_until(lambda: len(list((api.folder / ".open").iterdir())) == 1)
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 7)]


def test_a_crash_while_taking_over_leaves_each_event_landed_once(serve, monkeypatch):
    api = serve()
    left_behind(api.folder, "20261101T000000-1-dead", [row(2), row(3)])
    landing = LandingFolder(api.folder, 1, 1)
    monkeypatch.setattr(Path, "unlink", lambda path, **_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(LandingError, match="Input/output error"):
        landing.take_over(lambda events: None)
    monkeypatch.undo()
    assert statuses(api.post([row(2), row(3)])) == ["duplicate"] * 2, "dbt may have seen them"
    assert landing.take_over(lambda events: None) == 1
    landing.close()
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3"]


def test_a_file_that_is_taken_for_a_dead_ones_is_begun_anew(serve, monkeypatch):
    api = serve()
    lock, held = landing_folder.fcntl.flock, []

    def faster(file: int, how: int) -> None:
        if not held:  # somebody looks just now
            held.append(os.open(f"/proc/self/fd/{file}", os.O_RDWR))
            lock(held[0], how)
        assert how & landing_folder.fcntl.LOCK_NB, "it would wait for who waits for it"
        lock(file, how)

    monkeypatch.setattr(landing_folder.fcntl, "flock", faster)
    assert statuses(api.post(row(2))) == ["accepted"]
    assert len(list((api.folder / ".open").iterdir())) == 2
    os.close(held[0])
    api.intake._landing.take_over(lambda events: None)
    api.close()
    assert landed_ids(api.folder) == ["till:2"]
    assert list((api.folder / ".open").iterdir()) == []


def test_a_handed_over_file_never_grows_even_if_the_disk_fails_right_then(serve, monkeypatch):
    api = serve(seal_bytes=1)
    real = landing_folder.sync_folder
    failures = []

    def fail(folder: Path) -> None:
        if folder.name.startswith("day="):
            failures.append(folder)
            raise OSError(5, "Input/output error")
        real(folder)

    monkeypatch.setattr(landing_folder, "sync_folder", fail)
    for number in range(2, 5):
        assert statuses(api.post(row(number))) == ["accepted"]
        wait_until(lambda number=number: len(failures) == number - 1)
    wait_until(lambda: len(api.told) == 3)
    assert [len(events) for events in landed(api.folder).values()] == [1, 1, 1]
    assert "Input/output error" in api.told[0]


@pytest.mark.parametrize("wound", ["removed", "of another kind"])
def test_the_index_is_made_anew(serve, wound):
    api = serve(seal_bytes=500)
    api.post([row(number) for number in range(2, 8)])
    api.post(row(8))
    api.close()
    index = api.folder / ".index.sqlite"
    if wound == "of another kind":
        index.write_bytes(b"not a database" * 100)
        with pytest.raises(LandingError, match=r"not a database\. .*remove \.index\.sqlite; it is made anew"):
            serve()
    for path in api.folder.glob(".index.sqlite*"):
        path.unlink()
    left_behind(api.folder, "20261101T000000-1-dead", [row(8), row(9)])
    api = serve()
    assert statuses(api.post([row(number) for number in range(2, 11)])) == ["duplicate"] * 8 + ["accepted"]
    assert statuses(api.post(row(2, Quantity="7"))) == ["rejected"]
    api.close()
    assert sorted(landed_ids(api.folder)) == sorted(f"till:{number}" for number in range(2, 11))


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_files_of_customers_are_their_owners_alone(open_umask, serve, tmp_path):
    api = serve(seal_bytes=1)
    api.post(row(2))
    wait_until(lambda: landed_ids(api.folder))
    api.post([row(3)])
    left_behind(api.folder, "20261101T000000-1-dead", [row(4)])
    (api.folder / ".open" / "20261101T000000-1-dead").chmod(0o600)
    api.intake._landing.take_over(lambda events: None)
    modes = {path: oct(path.stat().st_mode & 0o777) for path in [api.folder, *api.folder.rglob("*")]}
    assert len(modes) >= 6
    assert {mode for path, mode in modes.items() if path.is_dir()} == {"0o700"}
    assert {mode for path, mode in modes.items() if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("serving.sqlite*")} == {"0o600"}
    SqliteStore(tmp_path / "new" / "serving.sqlite").close()
    assert oct((tmp_path / "new").stat().st_mode & 0o777) == "0o700"
    # What was readable for others before is so no more.
    api.close()
    (api.folder / ".index.sqlite").chmod(0o644)
    serve()
    assert oct((api.folder / ".index.sqlite").stat().st_mode & 0o777) == "0o600"


def test_where_there_is_no_fdatasync_rows_are_taken_too(serve, monkeypatch):
    synced = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda file, real=real, name=name: (synced.append(name), real(file)))
    api = serve()
    assert statuses(api.post(row(2))) == ["accepted"]
    assert "fdatasync" in synced
    monkeypatch.delattr(os, "fdatasync")  # as on macOS
    synced.clear()
    assert statuses(api.post(row(3))) == ["accepted"]
    assert synced == ["fsync"]
    full = []
    monkeypatch.setattr(landing_folder.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(landing_folder.fcntl, "fcntl", lambda file, what: full.append(what))
    assert statuses(api.post(row(4))) == ["accepted"]
    assert (full, synced) == ([51], ["fsync"])

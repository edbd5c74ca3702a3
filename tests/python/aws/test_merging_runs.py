"""Landed files in the bucket are merged with the ledger of another database, and nothing is lost wherever it stops."""

import json
from collections import Counter

import pytest
from shared.redshift_driver import RedshiftDriver

from retail_warehouse.errors import DataError
from retail_warehouse.runs import merging
from retail_warehouse.streaming.merging import S3, Merging

MODELS = ["stg_online_retail__streamed_lines", "invoice_lines"]
FILES = [f"day=2026-11-22/20261122T{number:012d}-1-ab.ndjson" for number in range(36)]


class Elsewhere(RedshiftDriver):
    """With a ledger."""

    def __init__(self) -> None:
        super().__init__()
        columns = ", ".join(f"{name} {type_}" for name, type_ in merging._COLUMNS.items())
        self.database.execute(f"create table audit.processed_files ({columns})")

    def ledger(self) -> list[tuple]:
        return self.database.execute("from audit.processed_files order by all").fetchall()


def land(place: S3, warehouse: Elsewhere) -> None:
    for number, name in enumerate(FILES):
        row = json.dumps({"event_id": f"till:{number}", "landing_position": 1, "line": "é"}).encode() + b"\n"
        place.write(name, lambda file, row=row: file.write(row))
        for model in MODELS:
            # The last one is not processed by all models yet, and some are not tested.
            if model == MODELS[0] or number < len(FILES) - 1:
                tested = "timestamp '2026-11-22 13:00:00'" if number < 33 else "null"
                warehouse.database.execute(
                    "insert into audit.processed_files values (?, 'online_retail', 'streamed_lines', ?, ?, 'utf-8',"
                    f" timestamp '2026-11-22 12:00:00.5', {tested}, null)",
                    [model, name, f"{len(row)} bytes, in /landing"],
                )
    # Of a file that was loaded.
    warehouse.database.execute(
        "insert into audit.processed_files values ('invoice_lines', 'online_retail', 'invoice_lines', 'data.csv',"
        " '9 bytes', 'utf-8', timestamp '2026-11-22 12:00:00', null, 'rows')"
    )


def events(place: S3) -> Counter:
    found: Counter = Counter()
    for name in place.sizes():
        with place.read(name) as file:
            found.update(json.loads(line)["event_id"] for line in file)
    return found


def place_of(bucket, prefix: str = "streamed") -> S3:
    return S3(bucket.url(prefix), bucket.client)


def test_files_and_ledger_become_those_that_duckdb_would_make(bucket):
    here, there = Elsewhere(), Elsewhere()
    at_home, in_the_bucket = place_of(bucket, "home"), place_of(bucket)
    land(at_home, here)
    land(in_the_bucket, there)
    while Merging(at_home, MODELS).step_with(here.database.cursor).removed:
        pass
    assert merging.merge(there, in_the_bucket, MODELS) == (32, 1), "files that are tested, and as many as are enough"
    assert in_the_bucket.sizes() == at_home.sizes()
    assert len(in_the_bucket.sizes()) == len(FILES) - 31
    assert there.ledger() == here.ledger()
    assert events(in_the_bucket) == Counter(f"till:{number}" for number in range(len(FILES)))
    assert merging.merge(there, in_the_bucket, MODELS) == (0, 0)


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_what_is_stopped_anywhere_is_brought_to_its_end(bucket, fails_at):
    warehouse, place = Elsewhere(), place_of(bucket)
    land(place, warehouse)
    before = warehouse.ledger()
    warehouse.fails_at = fails_at
    with pytest.raises(DataError, match=r"Landed files in s3://.* are not merged: .*reset"):
        merging.merge(warehouse, place, MODELS)
    assert warehouse.asked[:fails_at] == ["select", "begin", "delete", "insert", "commit"][:fails_at]
    assert warehouse.ledger() == before
    assert set(FILES) <= set(place.sizes())
    warehouse.fails_at = None
    assert merging.merge(warehouse, place, MODELS) == (32, 1)
    assert events(place) == Counter(f"till:{number}" for number in range(len(FILES)))
    assert place.notes() == {}


def test_a_bucket_that_stops_after_the_ledger_was_changed_is_tidied_up(bucket, monkeypatch):
    warehouse, place = Elsewhere(), place_of(bucket)
    land(place, warehouse)
    with monkeypatch.context() as patch:
        patch.setattr(S3, "remove", lambda *_: (_ for _ in ()).throw(OSError("away")))
        with pytest.raises(DataError, match=r"Landed files in s3://.* are not merged: away"):
            merging.merge(warehouse, place, MODELS)
    assert len(place.sizes()) == len(FILES) + 1
    merging.merge(warehouse, place, MODELS)
    assert len(place.sizes()) == len(FILES) - 31
    assert events(place) == Counter(f"till:{number}" for number in range(len(FILES)))
    names = {name for (name,) in warehouse.database.execute("select file_name from audit.processed_files").fetchall()}
    assert names == {*place.sizes(), "data.csv"}

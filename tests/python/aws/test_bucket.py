"""Copies between the bucket and the disk, and the lock in it."""

import json
import os
import signal
import threading
import time

import pytest
from shared.aws import put

from retail_warehouse.errors import DataError
from retail_warehouse.runs import bundle, lock
from retail_warehouse.runs.bucket import STREAMED, Bucket, Changed
from retail_warehouse.runs.redshift import Dbt
from retail_warehouse.runs.run import Run


def quiet(line: str) -> None:
    pass


@pytest.fixture
def run(bucket, tmp_path):
    return Run("nightly", bucket, tmp_path, Dbt())


# Copies


def test_copies_what_changed_and_removes_what_is_gone(bucket, tmp_path):
    names = ("a.csv", "orders/may/1.csv", "b c;ü.csv")
    for name in names:
        put(bucket, f"raw/x/{name}", name)
    put(bucket, "raw/x/_SUCCESS", "")
    put(bucket, "raw/x/orders/", "")
    files = bucket.files("raw", "x")
    assert list(files) == sorted(names)
    folder = tmp_path / "x"
    assert bucket.download("raw/x", folder, files, quiet) == 3
    for name in names:
        assert (folder / name).read_text() == name
        # dbt knows a file by its time: on a new disk it must be the same.
        assert (folder / name).stat().st_mtime == files[name].modified.timestamp()
    assert bucket.download("raw/x", folder, bucket.files("raw/x"), quiet) == 0
    # The same length and second; only the ETag tells.
    put(bucket, "raw/x/a.csv", "A.csv")
    os.utime(folder / "a.csv", (0, bucket.files("raw/x")["a.csv"].modified.timestamp()))
    bucket.remove("raw/x", ["orders/may/1.csv"])
    (folder / "b c;ü.csv").write_text("changed by hand")
    (folder / "left.csv").write_text("by another run")
    assert bucket.download("raw/x", folder, bucket.files("raw/x"), quiet) == 2
    assert {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()} == {
        "a.csv": "A.csv",
        "b c;ü.csv": "b c;ü.csv",
    }
    assert not (folder / "orders").exists()


def test_a_file_that_is_replaced_while_it_is_copied_stops_the_run(bucket, tmp_path):
    put(bucket, "raw/x/a.csv", "first")
    put(bucket, "raw/x/b.csv", "stays")
    files = bucket.files("raw/x")
    put(bucket, "raw/x/a.csv", "other")
    with pytest.raises(DataError, match=r"raw/x/a[.]csv was replaced or removed while it was copied"):
        bucket.download("raw/x", tmp_path / "x", files, quiet)
    assert not (tmp_path / "x" / "a.csv").exists()
    bucket.remove("raw/x", ["a.csv"])
    with pytest.raises(DataError, match="was replaced or removed"):
        bucket.download("raw/x", tmp_path / "x", files, quiet)
    assert bucket.download("raw/x", tmp_path / "x", bucket.files("raw/x"), quiet) <= 1
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["b.csv"]


def test_a_broken_connection_leaves_no_part_of_a_file(bucket, tmp_path, monkeypatch):
    put(bucket, "raw/x/a.csv", "whole")
    files = bucket.files("raw/x")
    real, tries = bucket.client.get_object, []

    class Broken:
        def read(self, size):
            if len(tries) == 1:
                raise ConnectionResetError("reset")
            return b""

        def close(self):
            pass

    def get(**asked):
        tries.append(asked)
        return {"Body": Broken()} if len(tries) < 3 else real(**asked)

    monkeypatch.setattr(bucket.client, "get_object", get)
    assert bucket.download("raw/x", tmp_path / "x", files, quiet) == 1
    assert len(tries) == 3
    assert [(path.name, path.read_text()) for path in (tmp_path / "x").iterdir()] == [("a.csv", "whole")]
    tries.clear()
    monkeypatch.setattr(bucket.client, "get_object", lambda **asked: {"Body": Broken()})
    put(bucket, "raw/x/a.csv", "more")
    with pytest.raises(OSError, match="only in part"):
        bucket.download("raw/x", tmp_path / "x", bucket.files("raw/x"), quiet)
    assert (tmp_path / "x" / "a.csv").read_text() == "whole"


@pytest.mark.parametrize("name", ["../out.csv", "a//b.csv", "a/./b.csv", "a\\..\\b.csv"])
def test_a_name_that_leads_out_of_the_folder_is_refused(bucket, name):
    put(bucket, f"raw/x/{name}", "x")
    with pytest.raises(DataError, match=r"cannot be copied to a disk under this name; rename it"):
        bucket.files("raw/x")


def test_a_missing_bucket_is_told_in_one_line(s3):
    with pytest.raises(DataError, match=r"s3://no-such-bucket/raw cannot be listed: NoSuchBucket"):
        Bucket("no-such-bucket", s3).files("raw")


def test_many_small_files_are_bundled_and_each_is_held_against_the_bucket(run, bucket, monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "MANY", 5)
    for number in range(6):
        put(bucket, f"streamed/day=2026-11-26/{number}.ndjson", str(number))
    folder = run.copy(STREAMED)
    assert list(bucket.files("runs/bundles")) == ["streamed.tar.gz"]
    # Another task, after a file was replaced, one removed and one added.
    put(bucket, "streamed/day=2026-11-26/0.ndjson", "x")
    put(bucket, "streamed/day=2026-11-27/6.ndjson", "6")
    bucket.remove("streamed", ["day=2026-11-26/1.ndjson"])
    there = bucket.files(STREAMED)
    asked = []
    real = bucket.client.get_object
    monkeypatch.setattr(bucket.client, "get_object", lambda **given: asked.append(given["Key"]) or real(**given))
    other = Run("nightly", bucket, tmp_path / "other", Dbt())
    copied = other.copy(STREAMED)
    assert sorted(asked) == [
        *("runs/bundles/streamed.tar.gz", "streamed/day=2026-11-26/0.ndjson", "streamed/day=2026-11-27/6.ndjson"),
    ]
    found = {path.relative_to(copied).as_posix(): path.read_text() for path in copied.rglob("*.ndjson")}
    assert found == {name: name[-8:-7] if name[-8] != "0" else "x" for name in there}
    assert (folder / "day=2026-11-26/1.ndjson").exists()
    # A bundle that is cut short is none.
    put(bucket, "runs/bundles/streamed.tar.gz", "no bundle")
    asked.clear()
    third = Run("nightly", bucket, tmp_path / "third", Dbt()).copy(STREAMED)
    assert len(asked) == 1 + len(there) == 1 + len(list(third.rglob("*.ndjson")))


# The lock


def test_one_run_at_a_time(bucket):
    with lock.held(bucket, "nightly") as first:
        with pytest.raises(lock.Held, match=r"nightly on .+, process \d+, since .+Z; it last renewed it \d+ s"):
            lock.Lock(bucket, "micro-batch").take()
        assert not first.is_lost
    with lock.held(bucket, "train"):
        pass
    assert bucket.read(lock.KEY) is None


def test_of_many_that_want_the_lock_at_once_one_gets_it(bucket):
    locks = [lock.Lock(bucket, str(number)) for number in range(8)]
    got, refused = [], []

    def take(one):
        try:
            one.take()
            got.append(one)
        except lock.Held:
            refused.append(one)

    threads = [threading.Thread(target=take, args=(one,)) for one in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    got[0].give_back()


def test_the_lock_of_a_dead_run_expires_and_that_of_a_living_one_does_not(bucket):
    # Times of S3 are whole seconds.
    bucket.write(lock.KEY, json.dumps({"run": "nightly", "host": "gone", "process": "1", "since": "x"}).encode())
    with pytest.raises(lock.Held, match="nightly on gone"):
        lock.Lock(bucket, "nightly", expires=1.5).take()
    living = lock.Lock(bucket, "nightly", expires=1.0, heartbeat=0.2)
    deadline = time.monotonic() + 10
    while True:
        try:
            living.take()
            break
        except lock.Held:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    time.sleep(2.2)
    with pytest.raises(lock.Held):
        lock.Lock(bucket, "train", expires=1.5).take()
    assert not living.is_lost
    living.give_back()


@pytest.fixture
def interruptible():
    """SIGINT interrupts, as within a run; a shell lets its background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_run_that_was_taken_for_dead_is_interrupted(bucket, interruptible):
    paused = lock.Lock(bucket, "nightly", expires=5.0, heartbeat=0.2)
    paused.take()
    other = json.dumps({"run": "nightly", "host": "other", "process": "2", "since": "now"}).encode()
    bucket.write(lock.KEY, other)
    with pytest.raises(KeyboardInterrupt):
        time.sleep(10)
    assert paused.is_lost
    paused.give_back()
    assert bucket.read(lock.KEY)[0] == other, "the lock of the other stays"


def test_an_answer_that_was_lost_is_no_lost_lock(bucket, monkeypatch):
    """boto3 tries again what was written already."""
    real = bucket.write

    def write(key, content, **condition):
        real(key, content, **condition)
        raise Changed(key)

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "write", write)
        taken = lock.Lock(bucket, "nightly", expires=3.0, heartbeat=0.1)
        taken.take()
        time.sleep(0.5)
        assert not taken.is_lost
    taken.give_back()
    assert bucket.read(lock.KEY) is None

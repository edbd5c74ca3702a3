"""The landing on S3: whatever fails, and whoever dies, each event is landed once or not at all, and nothing else is
told or can be looked up."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import PROJECT
from shared.aws_server import SLOW_DOWN, LandingOnS3

from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming import event_list, landing_s3, merging
from retail_warehouse.streaming.event_list import LANDED, OPEN, REFUSED, create_events_table
from retail_warehouse.streaming.landing import InDoubt, LandingError, Undecided, digest
from retail_warehouse.streaming.landing_s3 import S3Landing
from retail_warehouse.streaming.rules import Event, ShortenedEvent


def events(*numbers: int, delivery: str = "till") -> list[Event]:
    return [Event(f"{delivery}:{number}", f"line {number}") for number in numbers]


MANY = events(*range(2, 8))  # of two transactions, see `small_transactions`


class Lookups:
    """What can be looked up."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.fails = False

    def put(self, landed) -> None:
        if self.fails:
            raise StoreError("The store is away.")
        self.stored += [event.event_id for event in landed]


def refuse(refused) -> None:
    raise AssertionError("nothing is stored that must be taken back")


def take(landing: S3Landing, given: list[Event], lookups: Lookups | None = None) -> list[str]:
    """Take in events; returns the ids of those that were new."""
    known = landing.take_in(given, (lookups or Lookups()).put, refuse)
    assert all(digest(event.line) == known[event.event_id].digest for event in given if event.event_id in known)
    return [event.event_id for event in given if event.event_id not in known]


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch):
    monkeypatch.setattr(event_list, "_TOGETHER", 4)


@pytest.fixture
def at_once(monkeypatch):
    """Commits are looked into whatever their age, and nobody is waited for."""
    monkeypatch.setattr(landing_s3, "LOOKED_INTO", -10.0)
    monkeypatch.setattr(landing_s3, "_OTHERS_SECONDS", 0.0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(landing_s3, "_PUT_SECONDS", 0.3)


def test_a_commit_is_one_object_and_its_events_are_listed(on_s3):
    landing, lookups = on_s3.open(), Lookups()
    rejected = ShortenedEvent("till:4", "beginn", digest("beginning and end"), "malformed", "columns")
    assert landing.take_in([*events(2, 3), rejected], lookups.put, refuse) == {}
    [(name, rows)] = on_s3.landed().items()
    assert name.endswith(".ndjson")
    assert rows[1] == {"event_id": "till:3", "landing_position": 2, "line": "line 3"}
    assert rows[2] == {
        **{"event_id": "till:4", "landing_position": 3, "line": "beginn"},
        **{"digest": rejected.digest.hex(), "reason": "malformed", "detail": "columns"},
    }
    assert lookups.stored == ["till:2", "till:3", "till:4"]
    other = on_s3.open()
    assert other.identity == landing.identity
    known = other.take_in([Event("till:2", "another line"), rejected, *events(5)], lookups.put, refuse)
    assert known == {"till:2": (digest("line 2"), name), "till:4": (rejected.digest, name)}
    assert on_s3.landed_ids() == ["till:2", "till:3", "till:4", "till:5"]
    assert take(other, events(2, 5)) == []
    assert len(on_s3.objects()) == 2, "nothing is written for what was received before"
    assert on_s3.states() == [LANDED, LANDED]
    assert landing.take_over(lookups.put) == 0
    landing.close()


KILLED = """
import os, signal, sys
import boto3
from botocore.config import Config
from retail_warehouse.streaming import event_list
from retail_warehouse.streaming.landing_s3 import S3Landing
from retail_warehouse.streaming.rules import Event

event_list._TOGETHER = 4
s3, dynamodb = (boto3.client(name, config=Config(retries={"total_max_attempts": 1})) for name in ("s3", "dynamodb"))
print("ready", flush=True)


def child(moment):
    landing = S3Landing(sys.argv[1], sys.argv[2], s3, dynamodb)
    left = [None] * moment

    def tick(*_, **__):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    for client in (s3, dynamodb):
        client.meta.events.register("before-send", tick)
        client.meta.events.register("after-call", tick)
    landing.take_in([Event(f"{moment}:{number}", f"line {number}") for number in range(2, 8)], tick, None)
    os._exit(0)


for line in sys.stdin:
    process = os.fork()
    if not process:
        child(int(line))
    print(os.waitpid(process, 0)[1], flush=True)
os._exit(0)  # without duckdb's farewell
"""


def test_whoever_is_killed_anywhere_has_taken_all_or_nothing(on_s3, at_once):
    """A process is killed before and after each request that it sends, and another one finds what it left."""
    given = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin", **on_s3.environment}
    command = [sys.executable, "-c", KILLED, on_s3.url, on_s3.table]
    taken, lookups, other = {True: 0, False: 0}, Lookups(), on_s3.open()
    with subprocess.Popen(command, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        for moment in range(100):
            program.stdin.write(f"{moment}\n")
            program.stdin.flush()
            status = int(program.stdout.readline())
            if status == 0:
                break  # it was not killed any more
            assert status == signal.SIGKILL
            of_it = events(*range(2, 8), delivery=str(moment))
            ids = [event.event_id for event in of_it]
            landed = [event_id for event_id in on_s3.landed_ids() if event_id in ids]
            assert landed in ([], ids), "all or nothing"
            open_before = OPEN in on_s3.states()
            if open_before:
                with pytest.raises(Undecided) as told:
                    take(other, of_it[-1:] + of_it[:1])
                assert f"{moment}:2" in told.value.event_ids
            assert other.take_over(lookups.put) == open_before
            assert OPEN not in on_s3.states()
            if open_before:
                assert [one for one in lookups.stored if one in ids] == landed, "what is landed can be looked up"
            assert take(other, of_it) == ([] if landed else ids)
            assert [event_id for event_id in on_s3.landed_ids() if event_id in ids] == ids
            taken[bool(landed)] += 1
        program.stdin.close()
    assert min(taken.values()) > 3
    ids = on_s3.landed_ids()
    assert len(ids) == len(set(ids)) == 6 * (moment + 1)


def test_while_s3_is_away_nothing_is_taken(on_s3, aws, impatient):
    landing, lookups = on_s3.open(), Lookups()
    take(landing, events(2), lookups)
    aws.s3_door.shut()
    try:
        for _ in range(2):
            with pytest.raises(LandingError, match=r"landed in s3://.*: EndpointConnectionError\. Look whether"):
                take(landing, events(2, 3), lookups)
        assert take(landing, events(2), lookups) == [], "nothing has to be written for it"
    finally:
        aws.s3_door.open()
    assert (on_s3.landed_ids(), lookups.stored) == (["till:2"], ["till:2"])
    assert on_s3.states() == [LANDED, REFUSED, REFUSED]
    assert take(landing, events(2, 3), lookups) == ["till:3"]
    assert on_s3.landed_ids() == lookups.stored == ["till:2", "till:3"]


@pytest.mark.parametrize("served", [0, 1, 2, 3])
def test_while_dynamodb_is_away_nothing_is_taken_that_was_not_landed(on_s3, aws, at_once, served):
    landing, lookups = on_s3.open(), Lookups()
    answered = []

    def tamper(operation: str, _: bytes, do):
        answered.append(operation)
        return do() if len(answered) <= served else None

    aws.dynamodb_door.tampering = tamper
    is_landed = served == 3  # all but that it is settled: a read and two transactions
    if is_landed:
        assert len(take(landing, MANY, lookups)) == 6
    else:
        with pytest.raises(LandingError, match=r"The list of events, DynamoDB table events-\w+: \w+ failed"):
            take(landing, MANY, lookups)
    aws.dynamodb_door.tampering = None
    ids = [event.event_id for event in MANY] if is_landed else []
    assert on_s3.landed_ids() == lookups.stored == ids
    other = on_s3.open()
    other.take_over(lookups.put)
    assert len(take(other, MANY)) == (0 if is_landed else 6)
    assert len(on_s3.landed_ids()) == 6


def answering(answers: list) -> tuple[list[bytes], object]:
    """Tampering with puts of S3: each is answered by the next; and their bodies."""
    bodies: list[bytes] = []

    def tamper(operation: str, body: bytes, do):
        if operation != "PUT":
            return do()
        bodies.append(body)
        return answers.pop(0)(do) if answers else do()

    return bodies, tamper


def lost(do) -> None:
    """The request does not arrive."""


def done_unheard(do) -> None:
    """It is done, and the answer is lost."""
    do()


def slowed(do) -> list[bytes]:
    return [SLOW_DOWN]


@pytest.mark.parametrize("first", [lost, done_unheard, slowed])
def test_a_put_without_an_answer_is_put_once(on_s3, aws, first):
    landing, lookups = on_s3.open(), Lookups()
    bodies, aws.s3_door.tampering = answering([first])
    assert take(landing, events(2, 3), lookups) == ["till:2", "till:3"]
    assert len(bodies) == 2
    assert on_s3.landed_ids() == lookups.stored == ["till:2", "till:3"]
    assert on_s3.states() == [LANDED]


def test_a_put_that_arrives_late_finds_its_name_taken(on_s3, aws, impatient):
    landing, lookups = on_s3.open(), Lookups()
    late: list = []
    # All puts of rows are on their way for longer than anybody waits.
    bodies: list[bytes] = []

    def tamper(operation: str, body: bytes, do):
        bodies.append(body)
        return late.append(do) if operation == "PUT" and body else do()

    aws.s3_door.tampering = tamper
    with pytest.raises(LandingError, match="ConnectionClosedError"):
        take(landing, events(2, 3), lookups)
    assert b"" in bodies
    for do in late:
        do()
    aws.s3_door.tampering = None
    assert list(on_s3.objects().values()) == [b""], "503 means that it was not taken, whatever arrives later"
    assert on_s3.states() == [REFUSED]
    assert lookups.stored == []
    assert take(landing, events(2, 3), lookups) == ["till:2", "till:3"]
    assert on_s3.landed_ids() == ["till:2", "till:3"]


@pytest.mark.parametrize("is_done", [False, True])
def test_what_s3_does_not_tell_is_found_out_later(on_s3, aws, impatient, monkeypatch, is_done):
    monkeypatch.setattr(landing_s3, "_OTHERS_SECONDS", 0.0)
    landing, other, lookups = on_s3.open(), on_s3.open(), Lookups()
    first = [done_unheard if is_done else lost]

    def tamper(operation: str, body: bytes, do):
        return first.pop()(do) if first and operation == "PUT" else None

    aws.s3_door.tampering = tamper
    with pytest.raises(InDoubt, match="does not tell whether rows are landed"):
        take(landing, events(2, 3), lookups)
    with pytest.raises(LandingError, match="does not tell"):
        landing.take_over(lookups.put)
    aws.s3_door.tampering = None
    for one in (landing, other):
        with pytest.raises(Undecided) as told:
            take(one, events(3, 4), lookups)
        assert told.value.event_ids == {"till:3"}
    assert lookups.stored == []
    assert other.take_over(lookups.put) == 0, "another process gives it its time"
    assert landing.take_over(lookups.put) == 1
    assert on_s3.landed_ids() == lookups.stored == (["till:2", "till:3"] if is_done else [])
    assert take(other, events(2, 3), lookups) == ([] if is_done else ["till:2", "till:3"])
    assert on_s3.landed_ids() == lookups.stored == ["till:2", "till:3"]


def test_what_is_landed_and_cannot_be_stored_is_stored_later(on_s3, at_once):
    landing, lookups = on_s3.open(), Lookups()
    lookups.fails = True
    with pytest.raises(InDoubt, match="cannot be looked up yet: The store is away"):
        take(landing, events(2, 3), lookups)
    with pytest.raises(StoreError, match="The store is away"):
        landing.take_over(lookups.put)
    with pytest.raises(Undecided):
        take(landing, events(2), lookups)
    lookups.fails = False
    assert landing.take_over(lookups.put) == 1
    assert on_s3.landed_ids() == lookups.stored == ["till:2", "till:3"]
    assert take(landing, events(2, 3), lookups) == []


def test_who_is_taken_for_dead_and_lives_has_taken_nothing(on_s3, aws, at_once):
    slow, other, lookups = on_s3.open(), on_s3.open(), Lookups()

    def overtaken(do):
        aws.s3_door.tampering = None
        assert other.take_over(lookups.put) == 1
        assert take(other, events(3, 4), lookups) == ["till:3", "till:4"]
        return do()

    _, aws.s3_door.tampering = answering([overtaken])
    with pytest.raises(LandingError, match="took this one for dead"):
        take(slow, events(2, 3), lookups)
    assert on_s3.landed_ids() == lookups.stored == ["till:3", "till:4"]
    assert take(slow, events(2, 3), lookups) == ["till:2"]
    assert sorted(on_s3.landed_ids()) == ["till:2", "till:3", "till:4"]


@pytest.mark.parametrize("transaction", [1, 2])
def test_who_is_second_with_some_of_the_events_lands_the_others(on_s3, aws, transaction):
    first, second, lookups = on_s3.open(), on_s3.open(), Lookups()
    seen = []

    def tamper(operation: str, _: bytes, do):
        seen.append(operation)
        if seen.count("TransactWriteItems") == transaction and operation == "TransactWriteItems":
            aws.dynamodb_door.tampering = None
            # The last event is of the second transaction.
            assert take(first, [MANY[-1], *events(900)], lookups) == ["till:7", "till:900"]
        return do()

    aws.dynamodb_door.tampering = tamper
    assert len(take(second, MANY, lookups)) == 5
    assert on_s3.states() == [LANDED, LANDED, REFUSED]
    ids = on_s3.landed_ids()
    assert len(ids) == len(set(ids)) == 7
    assert sorted(lookups.stored) == sorted(ids)
    contradiction = second.take_in([Event("till:7", "another line")], lookups.put, refuse)
    assert contradiction["till:7"].digest == digest("line 7")


def test_transactions_that_others_are_in_the_way_of_are_tried_again(on_s3, monkeypatch):
    client = on_s3.aws.dynamodb
    answers: list[str] = []

    class Contended:
        def __getattr__(self, name: str):
            return getattr(client, name)

        def transact_write_items(self, **given):
            code = answers.pop(0) if answers else None
            if code == "lost":
                client.transact_write_items(**given)
                code = "TransactionConflict"
            if code:
                reasons = [{"Code": "None"}, {"Code": code, "Message": "line 2"}]
                response = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
                raise client.exceptions.TransactionCanceledException(response, "TransactWriteItems")
            return client.transact_write_items(**given)

    landing = S3Landing(on_s3.url, on_s3.table, on_s3.aws.s3, Contended())
    answers += ["TransactionConflict", "ThrottlingError", "lost"]
    assert take(landing, events(2, 3)) == ["till:2", "till:3"]
    assert on_s3.states() == [LANDED]
    answers += ["ValidationError"]
    with pytest.raises(LandingError, match=r"transact_write_items failed, TransactionCanceledException\. Try"):
        take(landing, events(4))
    monkeypatch.setattr(event_list, "_CONFLICT_SECONDS", 0.1)
    answers += ["TransactionConflict"] * 100
    with pytest.raises(LandingError, match="other processes are in the way, or it has too little capacity") as told:
        take(landing, events(4))
    assert "line 2" not in str(told.value)
    assert on_s3.landed_ids() == ["till:2", "till:3"]


def test_two_that_land_at_once_land_each_event_once(on_s3):
    """More at once, and over the API, in test_api_processes.py."""
    taken: list[str] = []
    refused = []

    def work(at: int) -> None:
        landing = on_s3.open()
        for part in range(6):
            numbers = range(2 + part * 40 + 20 * at, 2 + part * 40 + 60)
            for _ in range(50):
                try:
                    taken.extend(take(landing, events(*(numbers if at else reversed(numbers)))))
                    break
                except LandingError as error:
                    refused.append(error)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    assert sorted(taken) == sorted(on_s3.landed_ids())
    assert len(taken) == 260


def merged(on_s3: LandingOnS3, files: dict[str, bytes]) -> None:
    """Put a merged file in the place of others."""
    rows = b"".join(
        merging._place_of_rows(name) + row[1:] + b"\n" for name in files for row in files[name].splitlines()
    )
    name = merging._merged_name(sorted(files), 1)
    on_s3.aws.s3.put_object(Bucket=on_s3.bucket, Key=f"streamed/{name}", Body=rows)
    for name in files:
        on_s3.aws.s3.delete_object(Bucket=on_s3.bucket, Key=f"streamed/{name}")


def test_a_new_list_knows_what_is_there(on_s3):
    landing = on_s3.open()
    take(landing, events(2, 3))
    take(landing, events(4))
    files = on_s3.objects()
    take(landing, events(5))
    merged(on_s3, files)
    on_s3.table += "-new"
    create_events_table(on_s3.aws.dynamodb, on_s3.table)
    anew = on_s3.open()
    assert anew.identity != landing.identity
    known = anew.take_in(events(2, 3, 4, 5), refuse, refuse)
    assert {event_id: one.digest for event_id, one in known.items()} == {
        event.event_id: digest(event.line) for event in events(2, 3, 4, 5)
    }
    assert [known["till:2"].landing_file, known["till:4"].landing_file] == sorted(files)
    assert take(anew, events(6)) == ["till:6"]


def test_what_was_merged_before_it_was_settled_is_not_taken_for_refused(on_s3, aws, at_once, monkeypatch):
    landing, lookups = on_s3.open(), Lookups()
    take(landing, events(2))
    aws.dynamodb_door.tampering = lambda operation, _, do: None if operation == "UpdateItem" else do()
    take(landing, events(3, 4))
    aws.dynamodb_door.tampering = None
    assert on_s3.states() == [LANDED, OPEN]
    merged(on_s3, on_s3.objects())
    monkeypatch.setattr(landing_s3, "UNSETTLED", -merging.UNSETTLED)  # hours later
    assert on_s3.open().take_over(lookups.put) == 1
    assert lookups.stored == ["till:3", "till:4"]
    assert on_s3.states() == [LANDED, LANDED]
    assert take(landing, events(2, 3, 4)) == []


def test_what_is_settled_stays_so_whoever_looks_into_it_late(on_s3):
    landing, lookups = on_s3.open(), Lookups()
    take(landing, events(2, 3))
    [file] = on_s3.objects()
    merged(on_s3, on_s3.objects())
    # It was open when this one began.
    on_s3.open()._look_into(file, time.time(), lookups.put)
    assert on_s3.states() == [LANDED]
    assert take(landing, events(2, 3)) == []


def test_what_cannot_work_is_told_at_the_start(on_s3, aws):
    on_s3.url = "s3://nowhere/streamed"
    with pytest.raises(LandingError, match=r"landed in s3://nowhere/streamed: NoSuchBucket\. Look whether the name"):
        on_s3.open()
    on_s3.url, on_s3.table = f"s3://{on_s3.bucket}", "nowhere"
    with pytest.raises(LandingError, match=r"DynamoDB table nowhere: batch_get_item failed, ResourceNotFoundException"):
        on_s3.open()
    create_events_table(aws.dynamodb, "nowhere")
    with pytest.raises(LandingError, match="create_table failed, ResourceInUseException"):
        create_events_table(aws.dynamodb, "nowhere")
    landing = on_s3.open()
    assert take(landing, events(2)) == ["till:2"]
    [name] = (found["Key"] for found in aws.s3.list_objects_v2(Bucket=on_s3.bucket)["Contents"])
    assert name.startswith("day="), "a bucket without a prefix"
    denied = ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing._s3, "put_object", lambda **_: (_ for _ in ()).throw(denied))
        start = time.monotonic()
        with pytest.raises(LandingError, match=r"AccessDenied\. Allow this role to put and get objects"):
            take(landing, events(3))
        assert time.monotonic() - start < 1, "it will not be otherwise in a moment"


def test_names_of_files_and_folders_are_those_of_the_landing_folder(on_s3, tmp_path):
    """dbt and the merging of files know them by their names."""
    take(on_s3.open(), events(2))
    [name] = on_s3.objects()
    assert merging._can_be_merged(name)
    assert json.loads(on_s3.objects()[name])["landing_position"] == 1
    assert Path(name).parent.name == f"day={time.strftime('%Y-%m-%d', time.gmtime())}"

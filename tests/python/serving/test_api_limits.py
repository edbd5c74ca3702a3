"""Limits of what waits, is kept and is read at once: memory, rejected rows, bodies."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from shared.api_answers import DUPLICATE_KEY, FaultyStore, answer_of, answers, sealed
from shared.api_server import landed, row, statuses, wait_until

from retail_warehouse.serving import bodies
from retail_warehouse.serving.tokens import WRITE
from retail_warehouse.streaming import intake as intake_module


def test_more_events_than_may_wait_are_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(intake_module, "MOST_WAITING_EVENTS", 50)
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    with ThreadPoolExecutor(2) as pool:
        # The first is at the store, the second waits, the third has no place.
        sent = []
        for part in range(2):
            rows = [row(number, f"till-{part}") for number in range(2, 27)]
            sent.append(pool.submit(api.another().post, rows))
            wait_until(lambda part=part: api.intake._waiting == 25 * (part + 1))
        assert answers(lambda: api.post(row(2))) == (503, "1", '{"detail":"Try again later"}')
        store.go.set()
        assert [one.result().json()["accepted"] for one in sent] == [25, 25]
    assert statuses(api.post(row(2))) == ["accepted"]


def test_a_body_that_says_it_is_too_large_is_not_read(api):
    with api.connection() as connection:
        connection.sendall(api.head(f"Content-Length: {100 << 20}"))
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"More than 8,388,608 bytes" in answer
    assert api.get("/health").ok


LONG = {"event_id": "long:2", "raw_record": "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,UK" + ",x" * 300_000}


def test_of_a_rejected_line_its_beginning_is_kept_with_the_verdict(serve, judge, monkeypatch):
    api = serve()
    answer = api.post([row(2), LONG]).json()["rows"][1]
    assert (answer["reason"], answer["detail"]) == ("wrong_field_count", "300008 fields, the header has 8")
    assert statuses(api.post(LONG | {"raw_record": LONG["raw_record"][:-1]})) == ["rejected"]
    assert api.post(LONG).json()["rows"][0]["detail"] == answer["detail"]
    # What is taken over, or read again for a new index, is what was kept.
    [left] = (api.folder / ".open").iterdir()
    assert left.stat().st_size < 3_000
    content = left.read_bytes()
    api.close()
    for path in api.folder.glob(".index.sqlite*"):
        path.unlink()
    for path in sealed(api.folder):
        path.unlink()
    (api.folder / ".open" / "20261101T000000-1-dead").write_bytes(content)
    api = serve()
    assert api.post(LONG).json()["rows"][0]["detail"] == answer["detail"]
    [contradicted] = api.post(LONG | {"raw_record": LONG["raw_record"][:1_000]}).json()["rows"]
    assert contradicted["detail"] == DUPLICATE_KEY
    assert api.pair().json()["line_count"] == 1
    api.close()
    [_, kept] = landed(api.folder)["20261101T000000-1-dead.ndjson"]
    assert (kept["line"], kept["reason"], kept["detail"]) == (
        *(LONG["raw_record"][:1_000], answer["reason"], answer["detail"]),
    )


def test_rejected_rows_of_a_client_are_limited_and_nobody_elses(serve, issuer):
    api = serve(rejected_megabytes=1)
    other = api.of(issuer.token([WRITE], subject="another"))
    answer, sent = api.post(row(2)), 0
    while answer.status_code == 200:
        assert sent < 4
        answer = api.post([row(at, f"part-{sent}", Quantity="x" * 900) for at in range(2, 502)])
        sent += answer.status_code == 200
    assert (answer.status_code, answer.json()) == (429, {"detail": "Too many rejected rows"})
    assert 0 < int(answer.headers["Retry-After"]) <= 7_200
    assert sent == 2
    assert statuses(other.post([row(4), row(5, Quantity="x")])) == ["accepted", "rejected"]
    assert api.pair().status_code == 200, "and they look up as before"
    assert sum(path.stat().st_size for path in (api.folder / ".open").iterdir()) < 1.5e6


def test_what_was_rejected_before_counts_once(serve):
    api = serve(rejected_megabytes=1)
    for _ in range(30):
        answer = api.post([row(at, Quantity="x" * 900) for at in range(2, 102)])
        assert answer.json()["rejected"] == 100


def test_bodies_that_are_read_at_once_are_limited_by_their_bytes(serve, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BODIES", 3 << 20)
    api = serve()
    with api.connection() as one, api.connection() as two:
        for connection in (one, two):
            connection.sendall(api.head("Content-Length: 2000000") + b"[" + b" " * 1_400_000)
        time.sleep(0.5)
        assert answers(lambda: api.post(b" " * 500_000)) == (503, "1", '{"detail":"Try again later"}')
        assert statuses(api.post(row(2))) == ["accepted"], "a small one has its place"
    wait_until(lambda: api.post(b" " * 500_000).status_code == 422)


def test_more_bytes_than_may_wait_are_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(intake_module, "MOST_WAITING_BYTES", 2 << 20)
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(api.another().post, [row(2), LONG | {"event_id": "long:3"}])
        wait_until(lambda: store.puts == 1)
        second = pool.submit(api.another().post, LONG | {"event_id": "long:4"})
        wait_until(lambda: api.intake._waiting == 3)
        emoji = "536365" + "\U0001f600" * 250_000  # four bytes in memory for each character
        assert answers(lambda: api.post({"event_id": "long:5", "raw_record": emoji})) == (
            *(503, "1", '{"detail":"Try again later"}'),
        )
        store.go.set()
        assert first.result().ok
        assert second.result().ok
    assert api.intake._waiting == api.intake._waiting_bytes == 0
    assert statuses(api.post(LONG)) == ["rejected"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 2_700_000 + b"{}]",
        b"[" + b"[]," * 2_700_000 + b"[]]",
        b'["a"' + b',"a"' * 1_900_000 + b"]",
        b'[{"":0}' + b',{"":0}' * 1_000_000 + b"]",
        b'{"event_id": "a:2", "raw_record": [' + b"{}," * 2_000_000 + b"{}]}",
    ],
    ids=["objects", "lists", "texts", "rows", "inside"],
)
def test_what_would_take_much_memory_is_refused_before_it_is_parsed(api, body, monkeypatch):
    monkeypatch.setattr(bodies.orjson, "loads", lambda _: pytest.fail("it is parsed"))
    answer = api.post(body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == "More than 10,000 rows, or no rows"


def test_nobody_waits_while_a_large_body_is_parsed(api, monkeypatch):
    go, real = threading.Event(), bodies.parse_events
    api.post(row(2))

    def slow(body):
        if len(body) > 200_000:
            assert go.wait(20)
        return real(body)

    monkeypatch.setattr(bodies, "parse_events", slow)
    with ThreadPoolExecutor(3) as pool:
        large = [row(number, Description="x" * 200) for number in range(2, 1_002)]
        waiting = [pool.submit(api.another().post, large) for _ in range(3)]
        time.sleep(0.3)
        for _ in range(3):
            assert api.pair().ok
            assert statuses(api.post(row(2))) == ["duplicate"]
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {200}


def test_braces_in_a_text_are_no_rows(api):
    assert statuses(api.post({"event_id": "a:2", "raw_record": '{["' * 200_000})) == ["rejected"]


def test_a_body_without_an_end_is_cut(api):
    sent = 0
    with api.connection() as connection:
        connection.sendall(api.head("Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        with suppress(ConnectionError):
            while sent < 100 << 20:
                connection.sendall(chunk)
                sent += 65_536
        assert sent < 20 << 20
    assert api.get("/health").ok
    assert statuses(api.post(b" " * (8 << 19) + json.dumps(row()).encode())) == ["accepted"]
    assert api.post(b" " * ((8 << 20) + 1)).status_code == 413


def test_a_slow_body_is_given_up(api, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.4)
    with api.connection() as connection:
        connection.sendall(api.head("Content-Length: 1000"))
        start = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while not stop.wait(0.05):
                    connection.sendall(b"[")

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = answer_of(connection)
        stop.set()
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start < 5
    assert statuses(api.post(row())) == ["accepted"]

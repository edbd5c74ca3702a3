"""Connections of the API: none is held for longer than it takes."""

import json
import logging
import socket
import time
from contextlib import suppress

import pytest
from shared.api_answers import answer_of
from shared.api_server import Client, Server, row, statuses, wait_until

from retail_warehouse.serving import connections
from retail_warehouse.serving.connections import Connections


def test_a_client_that_goes_away_does_no_harm(api, caplog):
    caplog.set_level(logging.DEBUG)
    body = json.dumps([row(2)]).encode()
    with api.connection() as connection:
        connection.sendall(api.head(f"Content-Length: {len(body)}") + body[:-5])
    with api.connection() as connection:
        connection.sendall(b"GET /transac")
    for number in range(3, 23):
        with api.connection() as connection:  # it does not wait for the answer
            body = json.dumps([row(number)]).encode()
            connection.sendall(api.head(f"Content-Length: {len(body)}") + body)
    wait_until(lambda: statuses(api.post([row(n) for n in range(3, 23)])) == ["duplicate"] * 20)
    assert statuses(api.post(row(2))) == ["accepted"], "half a body is no row"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_heads_have_limits(api, monkeypatch):
    with api.connection() as connection:
        sent = 0
        with suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
            while sent < 50 << 20:
                connection.sendall(b"x" * 65_536)
                sent += 65_536
        assert sent < 10 << 20
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with api.connection() as connection, api.connection() as silent:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\n\r\nGET /health HTTP/1.1\r\n")
        start = time.monotonic()
        for _ in range(10):
            with suppress(ConnectionError):
                connection.sendall(b"X: y\r\n")
            time.sleep(0.1)
        assert answer_of(connection).count(b"200 OK") == 1
        assert answer_of(silent) == b""
        assert time.monotonic() - start < 3
    with api.connection() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\n\r\n")
        time.sleep(0.5)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        assert answer_of(connection).count(b"200 OK") == 2, "one that keeps a connection is not cut"


def open_connections(api: Server) -> int:
    return api.connections._count


@pytest.fixture
def quick(monkeypatch):
    """Limits of time that a test can wait for."""
    for name, seconds in (("HEAD_SECONDS", 0.4), ("REST_SECONDS", 0.3), ("ANSWER_SECONDS", 0.4)):
        monkeypatch.setattr(connections, name, seconds)
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 1)


def test_no_connection_is_held(quick, serve):
    """What nobody ends: no head, half a head, empty lines, a body that is announced and never comes, with a token and
    without, a body that dribbles behind its answer, and requests whose answers nobody takes."""
    api = serve()
    nobody = b"POST /transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    unread = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 10
    kept = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    kinds = [b"", b"GET /health HT", b"\r\n", nobody, nobody + b"x", unread, kept, kept + b"\r\n", kept + b"GET /"]
    kinds += [api.head("Content-Length: 1000000000"), nobody.replace(b"POST", b"GET"), b"nonsense\r\n\r\n"]
    api._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # or the answers would all fit in there
    held = []
    for first in kinds * 5:
        held.append(socket.create_connection(("127.0.0.1", api.port)))
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        held[-1].settimeout(1)
        with suppress(OSError):
            held[-1].sendall(first)
    empty_lines = (b"\r\n", kept + b"\r\n")
    dribbling = {one: b"\r\n" if first in empty_lines else b"x" for one, first in zip(held, kinds * 5, strict=True)}
    dribbling = {one: byte for at, (one, byte) in enumerate(dribbling.items()) if kinds[at % len(kinds)] != unread}
    wait_until(lambda: open_connections(api) > 40)
    start = time.monotonic()
    while open_connections(api) and time.monotonic() - start < 15:
        for one, byte in dribbling.items():
            with suppress(OSError):
                one.send(byte, socket.MSG_DONTWAIT)
        assert api.of(None).get("/health").ok
        time.sleep(0.05)
        api.session.close()
        if open_connections(api) <= 1:
            break
    assert time.monotonic() - start < 10, open_connections(api)
    for one in held:
        one.close()


def test_requests_that_do_not_wait_for_answers_are_few(api):
    with api.connection() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        time.sleep(0.3)
        assert connection.recv(65_536).count(b"HTTP/1.1 200 OK") == 5
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000)
        answer = answer_of(connection)
    assert b"HTTP/1.1 400 " in answer
    assert answer.count(b"HTTP/1.1 200 OK") <= connections.MOST_PIPELINED + 1


def test_a_body_behind_its_answer_may_still_come(quick, serve):
    api = serve()
    with api.connection() as connection:
        for _ in range(3):
            connection.sendall(b"POST /transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
            assert connection.recv(10_000).startswith(b"HTTP/1.1 401")
            time.sleep(0.1)
            connection.sendall(b"[{}]")
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_one_address_does_not_get_all_connections(serve, monkeypatch):
    monkeypatch.setattr(connections, "MOST_OF_ADDRESS", 20)
    api = serve()
    api.connections._most = 30
    held = [socket.create_connection(("127.0.0.1", api.port), source_address=("127.0.0.2", 0)) for _ in range(100)]
    wait_until(lambda: open_connections(api) == 20)
    held += [socket.create_connection(("127.0.0.1", api.port), source_address=("127.0.0.3", 0)) for _ in range(100)]
    wait_until(lambda: open_connections(api) == 30)
    for _ in range(5):
        assert Client(api.url, None).get("/health").ok, "those of the address with the most make room"
    assert open_connections(api) <= 30
    for one in held:
        one.close()
    wait_until(lambda: open_connections(api) < 10)


def test_addresses_are_told_apart_and_proxies_named():
    class Fake:
        address = None
        is_idle = True
        timeout_keep_alive = 30

        def end(self) -> None:
            ended.append(self.address)

    ended: list[str] = []

    def admitted(limits: Connections, *peers: str) -> list[bool]:
        return [limits.admit(Fake(), peer) for peer in peers]

    limits = Connections(100, 2, ["10.0.0.0/8", "fd00::1"])
    assert admitted(limits, "1.2.3.4", "1.2.3.4", "1.2.3.4", "::ffff:1.2.3.4", "1.2.3.5") == [
        *(True, True, False, False, True)
    ]
    assert admitted(limits, "2001:db8::1", "2001:db8::ffff:1", "2001:db8::2%eth0", "2001:db8:0:1::1") == [
        *(True, True, False, True)
    ]
    assert admitted(limits, *["10.1.2.3"] * 5, *["fd00::1"] * 3, "fd00::2", "") == [True] * 10
    limits = Connections(8, 4, ["10.0.0.0/8"])
    balanced = Fake()
    assert limits.admit(balanced, "10.0.0.1")
    assert balanced.timeout_keep_alive == 120
    assert admitted(limits, *["10.0.0.1"] * 4, *["1.2.3.4"] * 3, "1.2.3.4", "1.2.3.5", "10.0.0.1") == [
        *[True] * 7,
        *(False, True, True),
    ]
    assert ended == ["1.2.3.4"] * 2, "a proxy's connections do not make room"


def test_forwarded_addresses_are_believed_of_named_proxies_alone(serve):
    proxy, usual, own = ("127.0.0.0/8",), "X-Forwarded-For", "X-Caller-Address"
    # Who is believed, what is read, what is sent in each request, and how the last ones are answered.
    for proxies, read, sent, status in (
        ((), usual, usual, 429),
        (proxy, usual, usual, 401),
        ((), own, own, 429),
        (proxy, own, own, 401),
        (proxy, own, usual, 429),
    ):
        api = serve(proxies=proxies, caller_header=read)
        client = api.of("garbage")
        got = []
        for at in range(105):
            client.session.headers[sent] = f"192.0.2.{at}"
            got.append(client.pair().status_code)
        assert set(got[101:]) == {status}, (proxies, read, sent)
        api.close()


def test_a_low_limit_of_files_is_told(monkeypatch):
    given = {"limits": (1_024, 1_024)}
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: given["limits"])
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: given.update(limits=limits))
    most, told = connections.most_connections()
    assert most == 824
    assert "may open 1,024 files, so that it takes 824 connections at a time. Raise the limit to 2,200" in told
    given["limits"] = (256, 100_000)
    assert connections.most_connections() == (2_000, "")
    assert given["limits"] == (2_200, 100_000), "raised as far as it is allowed"
    given["limits"] = (256, connections.resource.RLIM_INFINITY)
    assert connections.most_connections() == (2_000, "")

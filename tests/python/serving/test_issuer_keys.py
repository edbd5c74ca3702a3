"""The key set of an issuer: when it is read, kept and given up, whatever the issuer does."""

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from jwt.algorithms import RSAAlgorithm
from shared.tokens import BAD_SIGNATURE, CLIENT, ISSUER, KID, NOW, SUBJECT, b64, cognito, pem, refuse, token

from retail_warehouse.serving import tokens
from retail_warehouse.serving.tokens import (
    KEYS_FRESH,
    KEYS_PAUSE,
    KEYS_STALE,
    LEEWAY,
    READ,
    IssuerError,
    IssuerKeys,
    LocalIssuer,
    Verifier,
    read_key_set,
    verifier_from_environment,
)

pytestmark = pytest.mark.usefixtures("no_variables")


def test_a_good_token_is_remembered_until_it_or_its_key_ends(asking, issuer, key, other_key, clock):
    hot = token(key, **LONG)
    assert asking.remembered(hot) is None
    caller = asking.verify(hot)
    for _ in range(3):
        assert asking.remembered(hot) == caller
    for other in (None, "", "garbage", "ä", "x" * 10_000, token(other_key), hot[:-4] + "AAAA"):
        assert asking.remembered(other) is None
    short = token(key)
    asking.verify(short)
    issuer.gate.clear()
    clock.now += KEYS_FRESH + LEEWAY
    assert asking.remembered(short) is None, "it has ended"
    assert asking.remembered(hot) == caller, "the keys are being read again, and nobody waits"
    issuer.serve({KID: other_key})
    issuer.gate.set()
    deadline = time.monotonic() + 5
    while asking.remembered(hot) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert asking.remembered(hot) is None, "its key is another one"


class Issuer(ThreadingHTTPServer):
    """Serves `body`, the set of `keys` unless told otherwise, at every address; waits for `gate` before it answers."""

    def __init__(self, keys: dict):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.headers, self.requests, self.gate = 200, {}, [], threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.serve(keys)

    def serve(self, keys: dict) -> None:
        self.body = json.dumps({"keys": [jwk(key, kid) for kid, key in keys.items()]}).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/pool/.well-known/jwks.json"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        server.asked.set()
        server.gate.wait(10)
        with contextlib.suppress(ConnectionError):  # the caller may have gone
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(server.body)


def jwk(key, kid: str = KID, **changes) -> dict:
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    entry = {"kty": "RSA", "n": public["n"], "e": public["e"], "kid": kid, "use": "sig", "alg": "RS256"}
    return {name: value for name, value in (entry | changes).items() if value is not None}


@contextlib.contextmanager
def serving(keys: dict):
    with Issuer(keys) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.gate.set()
        server.shutdown()


@pytest.fixture
def issuer(key):
    with serving({KID: key}) as server:
        yield server


@pytest.fixture
def asking(issuer, clock):
    """A verifier that gets its keys from the issuer."""
    return Verifier(ISSUER, [CLIENT], IssuerKeys(issuer.url, clock), clock)


LONG = {"exp": NOW + 10 * KEYS_STALE}


def test_keys_are_read_when_needed_and_again_when_old(asking, issuer, key, clock):
    assert issuer.requests == []
    hot = token(key, **LONG)
    for _ in range(3):
        asking.verify(hot)
        asking.verify(token(key))
    clock.now += KEYS_FRESH - 1
    asking.verify(hot)
    assert len(issuer.requests) == 1
    clock.now += 1
    asking.verify(hot)  # it is remembered, and still sees to it that keys do not grow old
    assert len(issuer.requests) == 2


def test_made_up_kids_do_not_hammer_the_issuer(asking, issuer, key, clock):
    asking.verify(token(key))

    def flood():
        for number in range(20):
            refuse(asking, token(key, f"hidden-{number}"), "no such key")

    flood()
    clock.now += KEYS_PAUSE - 1
    flood()
    assert len(issuer.requests) == 1
    clock.now += 1
    flood()
    assert len(issuer.requests) == 2
    asking.verify(token(key))


def test_an_issuer_that_is_down_is_not_hammered_either(asking, issuer, key, clock):
    issuer.status = 503
    for _ in range(10):
        with pytest.raises(IssuerError, match="cannot be read"):
            asking.verify(token(key))
    assert len(issuer.requests) == 1
    issuer.status = 200
    clock.now += KEYS_PAUSE - 1
    with pytest.raises(IssuerError):
        asking.verify(token(key))
    clock.now += 1
    asking.verify(token(key))
    assert len(issuer.requests) == 2


def test_nobody_listens(key, clock):
    with serving({}) as server:
        url = server.url
    verifier = Verifier(ISSUER, [CLIENT], IssuerKeys(url, clock), clock)
    with pytest.raises(IssuerError, match="cannot be read"):
        verifier.verify(token(key))


def test_an_issuer_that_never_answers_costs_a_limited_time(asking, issuer, key, monkeypatch):
    monkeypatch.setattr(tokens, "_TIMEOUT", (0.1, 0.1))
    issuer.gate.clear()
    with pytest.raises(IssuerError, match="cannot be read"):
        asking.verify(token(key))


def test_a_new_key_is_found_and_a_removed_one_ends_what_was_remembered(asking, issuer, key, other_key, clock):
    old, new = token(key, **LONG), token(other_key, "hidden-new", **LONG)
    asking.verify(old)
    issuer.serve({KID: key, "hidden-new": other_key})
    clock.now += KEYS_PAUSE
    asking.verify(new)
    asking.verify(old)
    issuer.serve({"hidden-new": other_key})
    clock.now += KEYS_FRESH
    asking.verify(new)
    refuse(asking, old, "no such key")
    refuse(asking, token(key), "no such key")


def test_another_key_under_the_same_id_ends_what_was_remembered(asking, issuer, key, other_key, clock):
    old = token(key, **LONG)
    asking.verify(old)
    issuer.serve({KID: other_key})
    clock.now += KEYS_FRESH
    refuse(asking, old, BAD_SIGNATURE)
    asking.verify(token(other_key, **LONG))


def test_an_issuer_that_takes_all_keys_back_is_obeyed(asking, issuer, key, clock):
    old = token(key, **LONG)
    asking.verify(old)
    issuer.serve({})
    clock.now += KEYS_FRESH
    refuse(asking, old, "no such key")


SPOILED = {
    "server error": {"status": 500},
    "not found": {"status": 404},
    "empty": {"body": b""},
    "no JSON": {"body": b"<html>"},
    "no text": {"body": b"\xff\xfe\xfd"},
    "deep": {"body": b"[" * 60_000},
    "a list": {"body": b"[]"},
    "without keys": {"body": b"{}"},
    "keys is no list": {"body": b'{"keys": {}}'},
    "cut": {"headers": {"Content-Length": "100000"}},
    "large": {"body": b'{"keys": []}' + b" " * tokens.LARGEST_KEY_SET},
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_while_the_key_set_cannot_be_read_the_last_one_serves_for_a_day(asking, issuer, key, clock, caplog, spoil):
    hot = token(key, **LONG)
    asking.verify(hot)
    for name, value in spoil.items():
        setattr(issuer, name, value)
    clock.now += KEYS_FRESH
    asking.verify(hot)
    asking.verify(token(key, jti="hidden-new", **LONG))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert issuer.url in caplog.text
    assert "hidden" not in caplog.text
    clock.now = NOW + KEYS_STALE - 1
    asking.verify(hot)
    clock.now += 1
    for one in (hot, token(key, **LONG)):
        with pytest.raises(IssuerError, match="cannot be read"):
            asking.verify(one)


def test_the_issuer_cannot_send_us_elsewhere(asking, issuer, key):
    with serving({KID: key}) as elsewhere:
        issuer.status, issuer.headers = 302, {"Location": elsewhere.url}
        with pytest.raises(IssuerError, match="cannot be read"):
            asking.verify(token(key))
        assert elsewhere.requests == []


def test_no_address_in_a_token_is_followed(asking, issuer, key, other_key):
    own = jwk(other_key)
    with serving({KID: other_key}) as server:
        for kid, message in ((KID, BAD_SIGNATURE), ("hidden-own", "no such key")):
            header = {"jku": server.url, "x5u": server.url, "jwk": own, "x5c": [pem(other_key).decode()]}
            refuse(asking, token(other_key, kid, header), message)
        assert asking.verify(token(key, header={"jku": server.url})).subject == SUBJECT, "they mean nothing"
        assert server.requests == []
    assert len(issuer.requests) == 1


def test_threads_that_start_at_once_ask_once(asking, issuer, key):
    issuer.gate.clear()
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(asking.verify, token(key)) for _ in range(8)]
        assert issuer.asked.wait(10)
        issuer.gate.set()
        assert {call.result(10).subject for call in calls} == {SUBJECT}
    assert len(issuer.requests) == 1


def test_who_has_a_key_does_not_wait_while_another_thread_reads(asking, issuer, key, clock):
    hot = token(key, **LONG)
    asking.verify(hot)
    clock.now += KEYS_FRESH
    issuer.asked.clear()
    issuer.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(asking.verify, hot)
        assert issuer.asked.wait(10)
        start = time.monotonic()
        threads.submit(asking.verify, token(key, jti="hidden-new", **LONG)).result(3)
        reading.result(3)
        assert time.monotonic() - start < 3
        issuer.gate.set()
    assert len(issuer.requests) == 2


def test_a_thread_waits_for_a_hanging_read_only_so_long(asking, issuer, key, monkeypatch):
    monkeypatch.setattr(tokens, "_WAIT", 0.05)
    issuer.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(asking.verify, token(key))
        assert issuer.asked.wait(10)
        for waiting in (reading, threads.submit(asking.verify, token(key))):
            with pytest.raises(IssuerError):
                waiting.result(3)
    issuer.gate.set()
    monkeypatch.setattr(tokens, "_WAIT", 10.0)
    asking.verify(token(key))
    assert len(issuer.requests) == 1


class Dribbling(BaseHTTPRequestHandler):
    """Answers byte after byte, each of them in time, without an end."""

    ANSWERS: ClassVar = {
        "head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000,
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b" " * 10_000,
    }

    def handle(self):
        self.server.gone = threading.Event()
        self.request.recv(10_000)
        with contextlib.suppress(OSError):
            for byte in self.ANSWERS[self.server.kind]:
                self.request.sendall(bytes([byte]))
                time.sleep(0.01)
        self.server.gone.set()


@pytest.mark.parametrize("kind", Dribbling.ANSWERS)
def test_an_issuer_that_dribbles_costs_a_limited_time(key, clock, monkeypatch, kind):
    monkeypatch.setattr(tokens, "READ_SECONDS", 0.4)
    with ThreadingHTTPServer(("127.0.0.1", 0), Dribbling) as server:
        server.kind = kind
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        keys = IssuerKeys(f"http://127.0.0.1:{server.server_port}/", clock)
        start = time.monotonic()
        with pytest.raises(IssuerError, match="cannot be read"):
            keys(KID)
        assert time.monotonic() - start < 3
        assert server.gone.wait(3), "the connection is cut"
        server.shutdown()


def test_whoever_may_have_to_wait_for_the_issuer_is_known_before(asking, verifier, key):
    assert asking.may_wait(token(key))
    asking.verify(token(key))
    assert not asking.may_wait(token(key))
    assert asking.may_wait(token(key, "hidden-other"))
    assert not verifier.may_wait(token(key, "hidden-other")), "its keys are at hand"
    for nonsense in (None, "", "garbage", "ä", "x" * 10_000, token(key, header={"kid": 7})):
        assert not asking.may_wait(nonsense)


def test_only_keys_that_sign_with_rs256_are_taken(key):
    # The numbers of a small key only have to be long enough to be read as one.
    small = b64(((10**300) | 1).to_bytes(128, "big"))
    private = RSAAlgorithm.to_jwk(key, as_dict=True)
    refused = [
        jwk(key, "encrypts", use="enc"),
        jwk(key, "other algorithm", alg="RS512"),
        jwk(key, "symmetric", alg="HS256"),
        {"kty": "oct", "k": "aGlkZGVu", "kid": "oct"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "EC"},
        jwk(key, "small", n=small),
        jwk(key, "no number", n="!"),
        jwk(key, "no exponent", e=None),
        jwk(key, "numbers", n=5),
        private | {"kid": "private"},
        jwk(key, kid=None),
        jwk(key, kid=7),
        "a text",
        None,
    ]
    bare = jwk(key, "bare", use=None, alg=None)
    assert set(read_key_set({"keys": [*refused, jwk(key), bare]})) == {KID, "bare"}


def test_with_cognito_the_local_issuer_is_off(tmp_path, monkeypatch, issuer, key):
    cognito(monkeypatch, COGNITO_JWKS_URL=issuer.url, COGNITO_CLIENT_IDS=f" {CLIENT} ,,local")
    verifier = verifier_from_environment(tmp_path)
    assert list(tmp_path.iterdir()) == [], "no key is made"
    assert issuer.requests == [], "the service starts while the issuer is down"
    refuse(verifier, LocalIssuer(tmp_path).token([READ]), "no such key")
    assert verifier.verify(token(key, iat=None, exp=time.time() + 60)).client == CLIENT


@pytest.mark.parametrize("environment", ["development", "production"])
def test_the_key_set_lies_under_the_issuer(tmp_path, monkeypatch, issuer, key, environment):
    address = issuer.url.removesuffix("/.well-known/jwks.json")
    cognito(monkeypatch, address, RETAIL_WAREHOUSE_ENV=environment)
    verifier_from_environment(tmp_path).verify(token(key, iss=address, iat=None, exp=time.time() + 60))
    assert issuer.requests == ["/pool/.well-known/jwks.json"]

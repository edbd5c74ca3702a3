"""Access tokens: every way to come by one that was not issued, an issuer that fails, and Cognito as moto plays it."""

import base64
import contextlib
import hashlib
import hmac
import json
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import boto3
import jwt
import pytest
from cachetools import LRUCache
from conftest import PROJECT
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from moto.server import ThreadedMotoServer
from moto.utilities.utils import load_resource

from retail_warehouse.serving import tokens
from retail_warehouse.serving.tokens import (
    KEYS_FRESH,
    KEYS_PAUSE,
    KEYS_STALE,
    LEEWAY,
    LONGEST_TOKEN,
    READ,
    WRITE,
    Caller,
    ConfigurationError,
    IssuerError,
    IssuerKeys,
    LocalIssuer,
    ScopeError,
    TokenError,
    Verifier,
    read_key_set,
    verifier_from_environment,
)

NOW = 1_800_000_000
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_hidden"
# Every value of a token holds "hidden", which no message may.
CLIENT, SUBJECT, KID = "hidden-client", "hidden-subject", "hidden-kid"
HEADER = {"alg": "RS256", "kid": KID}
VARIABLES = ("COGNITO_ISSUER", "COGNITO_CLIENT_IDS", "COGNITO_JWKS_URL", "RETAIL_WAREHOUSE_ENV")


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def key():
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture(scope="session")
def other_key():
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture
def verifier(key, clock):
    return Verifier(ISSUER, [CLIENT, "hidden-second"], {KID: key.public_key()}.get, clock)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checks(monkeypatch) -> list[str]:
    """Tokens whose signature was checked."""
    checked, decode = [], jwt.decode
    monkeypatch.setattr(
        jwt, "decode", lambda token, *rest, **named: (checked.append(token), decode(token, *rest, **named))[1]
    )
    return checked


def claims(**changes) -> dict:
    """Those of a good access token, changed; None removes one."""
    good = {
        "iss": ISSUER,
        "sub": SUBJECT,
        "client_id": CLIENT,
        "token_use": "access",
        "scope": READ,
        "iat": NOW,
        "exp": NOW + 3_600,
        "jti": "hidden-jti",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def assemble(header: dict | bytes, payload: dict | bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"


def by(key) -> Callable[[bytes], bytes]:
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    return lambda message: algorithm.sign(message, key)


def token(key, kid: str | None = KID, header: dict | None = None, **changes) -> str:
    named = {"alg": "RS256"} | ({"kid": kid} if kid else {}) | (header or {})
    return assemble(named, claims(**changes), by(key))


def swapped(good: str, part: int, **changes) -> str:
    """The token with other content in its header (0) or payload (1), and the old signature."""
    parts = good.split(".")
    content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    parts[part] = b64(json.dumps(content | changes).encode())
    return ".".join(parts)


def pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def by_hmac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


def grafted(content: str, signature: str) -> str:
    return f"{content.rpartition('.')[0]}.{signature.rpartition('.')[2]}"


def nothing(message: bytes) -> bytes:
    return b""


def texts(error: BaseException | None):
    """What a log could show of an error and of those behind it."""
    while error is not None:
        yield f"{error} {error.args!r}"
        error = error.__cause__ or error.__context__


def refuse(verifier: Verifier, bad: object, message: str) -> None:
    with pytest.raises(TokenError, match=message) as refusal:
        verifier.verify(bad)
    for text in texts(refusal.value):
        assert "hidden" not in text
        if isinstance(bad, str):
            parts = [bad[start : start + 7] for start in range(0, min(len(bad), 3_000) - 6)]
            assert not [part for part in parts if part in text]


def test_a_good_token_tells_who_calls(verifier, key):
    caller = verifier.verify(token(key, scope=f"{READ} {WRITE}"))
    assert caller == Caller(SUBJECT, CLIENT, frozenset({READ, WRITE}))
    caller.require(READ)
    caller.require(WRITE)


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", None])
def test_any_type_and_client_of_the_list_is_good(verifier, key, kind):
    assert verifier.verify(token(key, header={"typ": kind}, client_id="hidden-second")).client == "hidden-second"


NOT_RS256 = "not signed by RS256"
NO_JWT = "is no JWT"
BAD_SIGNATURE = "signature of the token is wrong"

# What the refusal says is part of each case: the check that is meant has to refuse it.
FORGED = {  # made of the issuer's key and another one
    "none": (lambda key, other: None, "There is no token"),
    "empty": (lambda key, other: "", "There is no token"),
    "bytes": (lambda key, other: token(key).encode(), "There is no token"),
    "garbage": (lambda key, other: "qwxzvkjq", NO_JWT),
    "dots": (lambda key, other: "..", NO_JWT),
    "two parts": (lambda key, other: token(key).rpartition(".")[0], NO_JWT),
    "four parts": (lambda key, other: token(key) + ".QUJD", NO_JWT),
    "beyond ASCII": (lambda key, other: token(key) + "ä", NO_JWT),
    "half a character": (lambda key, other: token(key) + "\udc80", NO_JWT),
    "a space": (lambda key, other: " " + token(key), NO_JWT),
    "Bearer": (lambda key, other: "Bearer " + token(key), NO_JWT),
    "header is a list": (lambda key, other: assemble(b"[]", claims(), by(key)), NO_JWT),
    "deep header": (lambda key, other: assemble(b"[" * 5_000, b"{}", nothing), NO_JWT),
    "oversized": (lambda key, other: token(key, padding="x" * 6_000), "longer than 8,192"),
    "wrong key": (lambda key, other: token(other), BAD_SIGNATURE),
    "wrong key for HMAC": (lambda key, other: assemble(HEADER, claims(), by_hmac(pem(key))), BAD_SIGNATURE),
    "no signature": (lambda key, other: assemble(HEADER, claims(), nothing), BAD_SIGNATURE),
    "unknown kid": (lambda key, other: token(key, "hidden-other"), "no such key"),
    "path as kid": (lambda key, other: token(key, "../../hidden"), "no such key"),
    "no kid": (lambda key, other: token(key, None), "does not name its key"),
    "empty kid": (lambda key, other: token(key, header={"kid": ""}), "does not name its key"),
    "kid is a number": (lambda key, other: token(key, header={"kid": 1}), NO_JWT),
    "kid is a list": (lambda key, other: token(key, header={"kid": [KID]}), NO_JWT),
    "tampered payload": (lambda key, other: swapped(token(key), 1, scope=WRITE), BAD_SIGNATURE),
    "tampered header": (lambda key, other: swapped(token(key), 0, hidden=1), BAD_SIGNATURE),
    "alg none put in": (lambda key, other: swapped(token(key), 0, alg="none"), NOT_RS256),
    "signature of another": (lambda key, other: grafted(token(key, scope=WRITE), token(key)), BAD_SIGNATURE),
    "payload is a list": (lambda key, other: assemble(HEADER, b"[]", by(key)), BAD_SIGNATURE),
    "payload is no JSON": (lambda key, other: assemble(HEADER, b"hidden", by(key)), BAD_SIGNATURE),
    "deep payload": (lambda key, other: assemble(HEADER, b"[" * 5_000, by(key)), BAD_SIGNATURE),
    "crit": (lambda key, other: token(key, header={"crit": ["hidden"], "hidden": 1}), NO_JWT),
    "crit that PyJWT knows": (lambda key, other: token(key, header={"crit": ["b64"], "b64": True}), "an extension"),
    "unencoded payload": (lambda key, other: token(key, header={"b64": False}), NO_JWT),
    "no alg": (lambda key, other: assemble({"kid": KID}, claims(), by(key)), NOT_RS256),
}
NO_ALGORITHMS = ("none", "None", "NONE", "nOnE", "", " none", None, [], ["RS256"], "rs256", "RS256 ")
SECRETS = {  # of HS256: all that an attacker knows of the public key
    "PEM": pem,
    "PEM without its last line end": lambda key: pem(key).strip(),
    "DER": lambda key: key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "JWK": lambda key: RSAAlgorithm.to_jwk(key.public_key()).encode(),
    "nothing": lambda key: b"",
}
MEANT_FOR_OTHERS = {  # signed by the issuer
    "wrong issuer": ({"iss": "https://hidden.example"}, "another issuer"),
    "issuer with a slash": ({"iss": ISSUER + "/"}, "another issuer"),
    "issuer in other case": ({"iss": ISSUER.upper()}, "another issuer"),
    "beginning of the issuer": ({"iss": ISSUER[:-1]}, "another issuer"),
    "issuer in a list": ({"iss": [ISSUER]}, "another issuer"),
    "no issuer": ({"iss": None}, "another issuer"),
    "no exp": ({"exp": None}, "never expires"),
    "expired": ({"exp": NOW - 3_600}, "has expired"),
    "expired in 1969": ({"exp": -1}, "has expired"),
    "exp is a text": ({"exp": "9999999999"}, "exp of the token is no time"),
    "exp is true": ({"exp": True}, "exp of the token is no time"),
    "exp is no number": ({"exp": float("nan")}, "exp of the token is no time"),
    "exp never comes": ({"exp": float("inf")}, "exp of the token is no time"),
    "not valid yet": ({"nbf": NOW + 3_600}, "not valid yet, says its nbf"),
    "nbf is a text": ({"nbf": "0"}, "nbf of the token is no time"),
    "issued tomorrow": ({"iat": NOW + 86_400}, "not valid yet, says its iat"),
    "ID token": ({"token_use": "id", "aud": CLIENT, "client_id": None, "scope": None}, "no access token"),
    "ID token with everything else": ({"token_use": "id"}, "no access token"),
    "no token_use": ({"token_use": None}, "no access token"),
    "token_use in a list": ({"token_use": ["access"]}, "no access token"),
    "wrong client": ({"client_id": "hidden-foreign"}, "no client of this service"),
    "part of the client": ({"client_id": CLIENT[:-1]}, "no client of this service"),
    "client in a list": ({"client_id": [CLIENT]}, "no client of this service"),
    "no client": ({"client_id": None}, "no client of this service"),
    "wrong audience": ({"aud": "hidden-foreign"}, "another service"),
    "empty audience": ({"aud": []}, "another service"),
    "wrong client, right audience": ({"client_id": "hidden-foreign", "aud": CLIENT}, "no client of this service"),
    "no client, two audiences": ({"client_id": None, "aud": [CLIENT, "hidden-second"]}, "no client of this service"),
    "audience is a number": ({"aud": 7}, "neither a text nor a list"),
    "audience of numbers": ({"aud": [CLIENT, 7]}, "neither a text nor a list"),
    "no subject": ({"sub": None}, "speaks for nobody"),
    "empty subject": ({"sub": ""}, "speaks for nobody"),
    "subject is a number": ({"sub": 7}, "speaks for nobody"),
    "scopes in a list": ({"scope": [READ]}, "scope of the token is no text"),
}


@pytest.mark.parametrize(("make", "message"), FORGED.values(), ids=FORGED)
def test_forged_token_is_refused(verifier, key, other_key, make, message):
    bad = make(key, other_key)
    refuse(verifier, bad, message)
    refuse(verifier, bad, message)  # nor remembered as good


@pytest.mark.parametrize("algorithm", NO_ALGORITHMS)
def test_no_algorithm_is_refused(verifier, key, algorithm):
    for sign in (nothing, by(key)):
        refuse(verifier, assemble(HEADER | {"alg": algorithm}, claims(), sign), NOT_RS256)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_hmac_by_the_public_key_is_refused(verifier, key, secret):
    refuse(verifier, assemble(HEADER | {"alg": "HS256"}, claims(), by_hmac(secret(key))), NOT_RS256)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES256"])
def test_other_algorithm_is_refused(verifier, key, algorithm):
    signing = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else key
    refuse(verifier, jwt.encode(claims(), signing, algorithm, {"kid": KID}), NOT_RS256)


@pytest.mark.parametrize(("changes", "message"), MEANT_FOR_OTHERS.values(), ids=MEANT_FOR_OTHERS)
def test_token_that_is_not_for_this_service_is_refused(verifier, key, changes, message):
    bad = token(key, **changes)
    refuse(verifier, bad, message)
    refuse(verifier, bad, message)


def test_an_exp_of_null_is_none(verifier, key):
    payload = json.dumps(claims() | {"exp": None}).encode()
    refuse(verifier, assemble(HEADER, payload, by(key)), "exp of the token is no time")


def test_what_could_never_be_good_costs_no_signature_check_and_no_look_for_a_key(key, clock, checks):
    asked = []
    verifier = Verifier(ISSUER, [CLIENT], asked.append, clock)
    for bad in (
        "x" * (LONGEST_TOKEN + 1),
        "qwxzvkjq",
        assemble({"alg": "none", "kid": KID}, claims(), nothing),
        token(key, header={"crit": ["b64"], "b64": True}),
    ):
        refuse(verifier, bad, "token")
    assert (asked, checks) == ([], [])


def test_the_longest_token_is_parsed_and_one_character_more_is_not(verifier, monkeypatch):
    parsed, parse = [], jwt.get_unverified_header
    monkeypatch.setattr(jwt, "get_unverified_header", lambda text: (parsed.append(len(text)), parse(text))[1])
    refuse(verifier, "-" * LONGEST_TOKEN, NO_JWT)
    refuse(verifier, "-" * (LONGEST_TOKEN + 1), "longer than")
    assert parsed == [LONGEST_TOKEN]


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({"exp": NOW - LEEWAY + 1}, True),
        ({"exp": NOW - LEEWAY}, False),  # "on or after" exp it is over, RFC 7519 section 4.1.4
        ({"exp": NOW + 0.5 - LEEWAY}, True),
        ({"nbf": NOW + LEEWAY}, True),
        ({"nbf": NOW + LEEWAY + 1}, False),
        ({"iat": NOW + LEEWAY}, True),
        ({"iat": NOW + LEEWAY + 1}, False),
        ({"iat": None}, True),
        ({"exp": 10**400}, True),  # no float
    ],
)
def test_clocks_may_differ_by_the_leeway(verifier, key, changes, good):
    with contextlib.nullcontext() if good else pytest.raises(TokenError, match=r"has expired|not valid yet"):
        verifier.verify(token(key, **changes))


@pytest.mark.parametrize("changes", [{"client_id": None}, {"aud": CLIENT}, {"aud": ["hidden-api", CLIENT]}])
def test_an_audience_that_names_the_service_is_good(verifier, key, changes):
    assert verifier.verify(token(key, **({"aud": CLIENT} | changes))).client == CLIENT


@pytest.mark.parametrize(
    "scope",
    [
        None,
        "",
        " ",
        "transactions/readx",
        "xtransactions/read",
        "transactions/read/write",
        "transactions/READ",
        "transactions/",
        "read",
        f"{READ},{WRITE}",
        f"{READ}\n{WRITE}",
        f"{READ}\u00a0",
        "hidden/scope aws.cognito.signin.user.admin",
    ],
)
def test_a_scope_that_is_not_granted_is_refused(verifier, key, scope):
    caller = verifier.verify(token(key, scope=scope))
    for wanted in (READ, WRITE, ""):
        with pytest.raises(ScopeError, match="does not grant") as refusal:
            caller.require(wanted)
        assert "hidden" not in str(refusal.value)


def test_one_scope_does_not_grant_the_other(verifier, key):
    for granted, refused in ((READ, WRITE), (WRITE, READ)):
        caller = verifier.verify(token(key, scope=granted))
        caller.require(granted)
        with pytest.raises(ScopeError, match=refused):
            caller.require(refused)


def test_a_hot_token_is_checked_once_and_ends_in_time(verifier, key, clock, checks):
    hot = token(key)
    callers = [verifier.verify(hot) for _ in range(5)]
    clock.now = NOW + 3_600 + LEEWAY - 1
    callers.append(verifier.verify(hot))
    assert len(set(callers)) == 1
    assert checks == [hot]
    clock.now += 1
    refuse(verifier, hot, "has expired")


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


def test_a_remembered_token_makes_no_other_one_good(verifier, key):
    hot = token(key)
    verifier.verify(hot)
    refuse(verifier, swapped(hot, 1, scope=WRITE), BAD_SIGNATURE)
    refuse(verifier, hot[:-1], "token")
    refuse(verifier, hot + "A", "token")


def test_the_memory_is_bounded_and_forgets_the_one_not_used_for_longest(verifier, key, monkeypatch, checks):
    monkeypatch.setattr(verifier, "_verdicts", LRUCache(3))
    first, second, third, fourth = (token(key, jti=f"hidden-{number}") for number in range(4))
    for one in (first, second, third, first, fourth):
        verifier.verify(one)
    assert checks == [first, second, third, fourth]
    for one in (first, third, fourth):
        verifier.verify(one)
    assert len(checks) == 4, "these are remembered"
    verifier.verify(second)
    assert checks[4:] == [second], "this one was forgotten"


def test_bad_tokens_fill_no_memory(verifier, key, other_key, monkeypatch, checks):
    monkeypatch.setattr(verifier, "_verdicts", LRUCache(1))
    hot = token(key)
    verifier.verify(hot)
    for number in range(3):
        refuse(verifier, token(other_key, jti=f"hidden-{number}"), BAD_SIGNATURE)
    verifier.verify(hot)
    assert checks.count(hot) == 1


def test_threads_get_the_caller_of_their_own_token(verifier, key, monkeypatch):
    monkeypatch.setattr(verifier, "_verdicts", LRUCache(2))
    of = {token(key, sub=f"hidden-{number}"): f"hidden-{number}" for number in range(4)}
    wrong = swapped(next(iter(of)), 1, sub="hidden-wrong")

    def call(one: str) -> str:
        with contextlib.suppress(TokenError):
            return verifier.verify(one).subject
        return "refused"

    calls = [*of, wrong] * 50
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, calls)) == [of.get(one, "refused") for one in calls]


# The issuer's keys.


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


# The local issuer.


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> LocalIssuer:
    return LocalIssuer(tmp_path_factory.mktemp("local") / "made" / "folder")


def test_a_local_token_looks_like_one_of_cognito(local):
    before = int(time.time())
    issued = local.token([READ, WRITE], "somebody", hours=0.5)
    content = jwt.decode(issued, options={"verify_signature": False})
    assert set(content) == {"iss", "sub", "client_id", "token_use", "scope", "iat", "exp", "jti"}
    assert content["iss"] == local.issuer
    assert content["iss"].startswith("local:")
    assert content["exp"] - content["iat"] == 1_800
    assert before <= content["iat"] <= time.time()
    caller = local.verifier().verify(issued)
    assert caller == Caller("somebody", "local", frozenset({READ, WRITE}))
    assert local.token([READ]) != local.token([READ]), "jti is unique"


def test_a_local_token_expires(local):
    refuse(local.verifier(), local.token([READ], hours=-1), "has expired")


def test_the_local_key_set_is_public_and_enough_to_verify(local):
    (entry,) = local.key_set()["keys"]
    assert set(entry) == {"kty", "n", "e", "kid", "use", "alg"}
    assert jwt.PyJWKSet.from_dict(local.key_set())[entry["kid"]].key.key_size == 2_048
    keys = read_key_set(local.key_set())
    assert Verifier(local.issuer, ["local"], keys.get).verify(local.token([READ])).subject == "local"


def test_the_local_key_is_made_once_for_its_owner_alone(tmp_path):
    first = LocalIssuer(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "local-issuer.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    second = LocalIssuer(tmp_path)
    assert path.read_bytes() == content
    assert second.issuer == first.issuer
    second.verifier().verify(first.token([READ]))


def test_another_local_issuer_is_not_trusted(local, tmp_path):
    stranger = LocalIssuer(tmp_path)
    assert stranger.issuer != local.issuer
    refuse(local.verifier(), stranger.token([READ]), "no such key")


def test_the_local_key_of_whoever_was_first_stays(tmp_path, monkeypatch):
    make, winner = tokens.generate_private_key, []

    def slowly(**arguments):
        monkeypatch.setattr(tokens, "generate_private_key", make)
        winner.append(LocalIssuer(tmp_path))
        return make(**arguments)

    monkeypatch.setattr(tokens, "generate_private_key", slowly)
    assert LocalIssuer(tmp_path).issuer == winner[0].issuer
    assert [path.name for path in tmp_path.iterdir()] == ["local-issuer.pem"]


def test_two_processes_that_start_at_once_have_one_local_key(tmp_path):
    program = (
        "import sys; from pathlib import Path; from retail_warehouse.serving.tokens import LocalIssuer; "
        "print('ready', flush=True); sys.stdin.readline(); print(LocalIssuer(Path(sys.argv[1])).issuer)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "new")],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    issuers = {process.communicate(timeout=60)[0] for process in processes}
    assert issuers == {LocalIssuer(tmp_path / "new").issuer + "\n"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["local-issuer.pem"]


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_local_key_is_told(tmp_path, content):
    (tmp_path / "local-issuer.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"local-issuer\.pem holds no RSA key; remove it"):
        LocalIssuer(tmp_path)
    assert (tmp_path / "local-issuer.pem").read_bytes() == content


# The environment.


def cognito(monkeypatch, issuer: str = ISSUER, clients: str = CLIENT, **others: str) -> None:
    for name, value in ({"COGNITO_ISSUER": issuer, "COGNITO_CLIENT_IDS": clients} | others).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("environment", [None, "", "development"])
def test_without_cognito_the_local_issuer_is_trusted(tmp_path, monkeypatch, environment):
    if environment is not None:
        monkeypatch.setenv("RETAIL_WAREHOUSE_ENV", environment)
    verifier = verifier_from_environment(tmp_path)
    assert verifier.verify(LocalIssuer(tmp_path).token([READ])).client == "local"


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


def refuse_to_start(folder, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        verifier_from_environment(folder)
    assert list(folder.iterdir()) == [], "no key is made"


@pytest.mark.parametrize("issuer", [None, "", " "])
@pytest.mark.parametrize("clients", [None, CLIENT])
def test_production_without_cognito_does_not_start(tmp_path, monkeypatch, issuer, clients):
    monkeypatch.setenv("RETAIL_WAREHOUSE_ENV", "production")
    for name, value in (("COGNITO_ISSUER", issuer), ("COGNITO_CLIENT_IDS", clients)):
        if value is not None:
            monkeypatch.setenv(name, value)
    refuse_to_start(tmp_path, "COGNITO_ISSUER is not set, and in production")


@pytest.mark.parametrize("environment", ["prod", "Production", "staging"])
def test_an_environment_that_is_none_does_not_start(tmp_path, monkeypatch, environment):
    monkeypatch.setenv("RETAIL_WAREHOUSE_ENV", environment)
    refuse_to_start(tmp_path, "RETAIL_WAREHOUSE_ENV is neither development nor production")


@pytest.mark.parametrize("name", ["COGNITO_CLIENT_IDS", "COGNITO_JWKS_URL"])
def test_a_forgotten_issuer_does_not_leave_the_local_one_trusted(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "https://hidden.example")
    refuse_to_start(tmp_path, "COGNITO_ISSUER is not set, but")


@pytest.mark.parametrize("clients", ["", " ", ",", " , "])
def test_cognito_needs_clients(tmp_path, monkeypatch, clients):
    cognito(monkeypatch, clients=clients)
    refuse_to_start(tmp_path, "COGNITO_CLIENT_IDS is not set")


@pytest.mark.parametrize("name", ["COGNITO_ISSUER", "COGNITO_JWKS_URL"])
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://cognito-idp.eu-west-1.amazonaws.com/pool", "is an http address"),
        ("http://localhost.example.com/pool", "is an http address"),
        ("http://127.0.0.1.example.com/pool", "is an http address"),
        ("http://example.com/localhost", "is an http address"),
        ("http://localhost@example.com/pool", "is not a plain https address"),
        ("https://somebody:secret@example.com/pool", "is not a plain https address"),
        ("https://example.com/pool?a=b", "is not a plain https address"),
        ("https://example.com/pool#a", "is not a plain https address"),
        ("https://example.com:port/pool", "is not a plain https address"),
        ("https://[/pool", "is not a plain https address"),
        ("https:///pool", "is not a plain https address"),
        ("ftp://localhost/pool", "is not a plain https address"),
        ("file:///etc/keys", "is not a plain https address"),
        ("cognito-idp.eu-west-1.amazonaws.com/pool", "is not a plain https address"),
        ("local:abc", "is not a plain https address"),
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused(tmp_path, monkeypatch, name, address, message):
    cognito(monkeypatch, **{name: address})
    with pytest.raises(ConfigurationError, match=f"{name} {message}") as error:
        verifier_from_environment(tmp_path)
    assert "secret" not in str(error.value)


def test_an_issuer_with_a_slash_is_refused(tmp_path, monkeypatch):
    cognito(monkeypatch, ISSUER + "/")
    refuse_to_start(tmp_path, "COGNITO_ISSUER ends with a slash")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_http_is_good_on_this_machine(tmp_path, monkeypatch, host):
    cognito(monkeypatch, f"http://{host}:9229/pool", COGNITO_JWKS_URL=f"http://{host}:9229/keys")
    verifier_from_environment(tmp_path)


# Cognito as moto plays it: real calls over HTTP, real tokens, one key for all pools. Its access tokens carry the one
# scope of Cognito's own sign-in, as real ones do; it has no token endpoint, from which tokens with scopes of a
# resource server come, so those are signed here with moto's key.


class Pool:
    def __init__(self, address: str):
        self.client = boto3.client(
            "cognito-idp",
            region_name="eu-west-1",
            endpoint_url=address,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        self.id = self.client.create_user_pool(PoolName="pool")["UserPool"]["Id"]
        self.issuer = f"https://cognito-idp.eu-west-1.amazonaws.com/{self.id}"
        self.key_set = f"{address}/{self.id}/.well-known/jwks.json"
        scopes = [{"ScopeName": name, "ScopeDescription": name} for name in ("read", "write")]
        self.client.create_resource_server(
            UserPoolId=self.id, Identifier="transactions", Name="transactions", Scopes=scopes
        )
        self.client.admin_create_user(UserPoolId=self.id, Username="somebody", MessageAction="SUPPRESS")
        self.client.admin_set_user_password(
            UserPoolId=self.id, Username="somebody", Password="Passw0rd!", Permanent=True
        )
        self.app, self.other_app = self.new_app("app"), self.new_app("other")

    def new_app(self, name: str) -> str:
        answer = self.client.create_user_pool_client(
            UserPoolId=self.id,
            ClientName=name,
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            AllowedOAuthScopes=[READ, WRITE],
        )
        return answer["UserPoolClient"]["ClientId"]

    def sign_in(self, app: str) -> dict[str, str]:
        return self.client.initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH",
            ClientId=app,
            AuthParameters={"USERNAME": "somebody", "PASSWORD": "Passw0rd!"},
        )["AuthenticationResult"]


@pytest.fixture(scope="module")
def pools():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Pool(f"http://{host}:{port}"), Pool(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def pool(pools):
    return pools[0]


@pytest.fixture
def of_pool(pool, monkeypatch, tmp_path):
    cognito(monkeypatch, pool.issuer, pool.app, COGNITO_JWKS_URL=pool.key_set, RETAIL_WAREHOUSE_ENV="production")
    return verifier_from_environment(tmp_path)


def test_an_access_token_of_cognito_is_good_and_grants_what_it_says(of_pool, pool):
    caller = of_pool.verify(pool.sign_in(pool.app)["AccessToken"])
    user = pool.client.admin_get_user(UserPoolId=pool.id, Username="somebody")["UserAttributes"]
    assert caller.subject == {item["Name"]: item["Value"] for item in user}["sub"]
    assert caller.client == pool.app
    assert caller.scopes == {"aws.cognito.signin.user.admin"}
    for scope in (READ, WRITE):
        with pytest.raises(ScopeError):
            caller.require(scope)


def test_an_id_token_of_cognito_is_refused(of_pool, pool):
    refuse(of_pool, pool.sign_in(pool.app)["IdToken"], "no access token")


def test_a_refresh_token_of_cognito_is_refused(of_pool, pool):
    refuse(of_pool, pool.sign_in(pool.app)["RefreshToken"], NO_JWT)


def test_a_token_of_another_client_of_the_pool_is_refused(of_pool, pool):
    refuse(of_pool, pool.sign_in(pool.other_app)["AccessToken"], "no client of this service")


def test_a_token_of_another_pool_is_refused(of_pool, pools):
    refuse(of_pool, pools[1].sign_in(pools[1].app)["AccessToken"], "another issuer")


def test_a_local_token_is_refused_beside_cognito(of_pool, local):
    refuse(of_pool, local.token([READ]), "no such key")


def test_a_token_of_a_program_with_scopes_is_good(of_pool, pool):
    moto_key = RSAAlgorithm.from_jwk(load_resource("cognitoidp/resources/jwks-private.json"))
    now = int(time.time())
    # The claims of the client credentials grant, as AWS documents them.
    content = {
        "sub": pool.app,
        "token_use": "access",
        "scope": READ,
        "auth_time": now,
        "iss": pool.issuer,
        "exp": now + 3_600,
        "iat": now,
        "version": 2,
        "jti": "6f1c7a0e-0000-4000-8000-000000000000",
        "client_id": pool.app,
    }
    caller = of_pool.verify(jwt.encode(content, moto_key, "RS256", {"kid": "dummy"}))
    caller.require(READ)
    with pytest.raises(ScopeError, match=WRITE):
        caller.require(WRITE)
    refuse(of_pool, jwt.encode(content | {"exp": now - 60}, moto_key, "RS256", {"kid": "dummy"}), "has expired")

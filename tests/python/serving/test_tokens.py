"""Access tokens: every way to come by one that was not issued, an issuer that fails, and Cognito as moto plays it."""

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from shared.tokens import (
    BAD_SIGNATURE,
    CLIENT,
    HEADER,
    ISSUER,
    KID,
    NO_JWT,
    NOW,
    SUBJECT,
    assemble,
    b64,
    by,
    claims,
    pem,
    refuse,
    token,
)

from retail_warehouse.serving.tokens import (
    LEEWAY,
    LONGEST_TOKEN,
    READ,
    WRITE,
    Caller,
    ScopeError,
    TokenError,
    Verifier,
)

pytestmark = pytest.mark.usefixtures("no_variables")


def swapped(good: str, part: int, **changes) -> str:
    """The token with other content in its header (0) or payload (1), and the old signature."""
    parts = good.split(".")
    content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    parts[part] = b64(json.dumps(content | changes).encode())
    return ".".join(parts)


def by_hmac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


def grafted(content: str, signature: str) -> str:
    return f"{content.rpartition('.')[0]}.{signature.rpartition('.')[2]}"


def nothing(message: bytes) -> bytes:
    return b""


def test_a_good_token_tells_who_calls(verifier, key):
    caller = verifier.verify(token(key, scope=f"{READ} {WRITE}"))
    assert caller == Caller(SUBJECT, CLIENT, frozenset({READ, WRITE}))
    caller.require(READ)
    caller.require(WRITE)


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", None])
def test_any_type_and_client_of_the_list_is_good(verifier, key, kind):
    assert verifier.verify(token(key, header={"typ": kind}, client_id="hidden-second")).client == "hidden-second"


NOT_RS256 = "not signed by RS256"
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

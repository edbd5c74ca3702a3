"""Access tokens, good and bad, that no library would make. Every value in one contains "hidden", which no message may
show."""

import base64
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from retail_warehouse.serving.tokens import (
    READ,
    TokenError,
    Verifier,
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


def pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


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


NO_JWT = "is no JWT"
BAD_SIGNATURE = "signature of the token is wrong"


def cognito(monkeypatch, issuer: str = ISSUER, clients: str = CLIENT, **others: str) -> None:
    for name, value in ({"COGNITO_ISSUER": issuer, "COGNITO_CLIENT_IDS": clients} | others).items():
        monkeypatch.setenv(name, value)

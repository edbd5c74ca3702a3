"""Fixtures of access tokens; what they need is imported only when one of them is asked for."""

import pytest


@pytest.fixture
def clock():
    from shared.tokens import Clock

    return Clock()


def _new_key():
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture(scope="session")
def key():
    return _new_key()


@pytest.fixture(scope="session")
def other_key():
    return _new_key()


@pytest.fixture
def verifier(key, clock):
    from retail_warehouse.serving.tokens import Verifier
    from shared.tokens import CLIENT, ISSUER, KID

    return Verifier(ISSUER, [CLIENT, "hidden-second"], {KID: key.public_key()}.get, clock)


@pytest.fixture
def no_variables(monkeypatch):
    from shared.tokens import VARIABLES

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checks(monkeypatch) -> list[str]:
    """Tokens whose signature was checked."""
    import jwt

    checked, decode = [], jwt.decode
    monkeypatch.setattr(
        jwt, "decode", lambda token, *rest, **named: (checked.append(token), decode(token, *rest, **named))[1]
    )
    return checked


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    from retail_warehouse.serving.tokens import LocalIssuer

    return LocalIssuer(tmp_path_factory.mktemp("local") / "made" / "folder")

"""Tokens of this machine, and what the environment makes the API trust."""

import stat
import subprocess
import sys
import time

import jwt
import pytest
from conftest import PROJECT
from shared.tokens import CLIENT, ISSUER, cognito, refuse

from retail_warehouse.serving import tokens
from retail_warehouse.serving.tokens import (
    READ,
    WRITE,
    Caller,
    ConfigurationError,
    LocalIssuer,
    Verifier,
    read_key_set,
    verifier_from_environment,
)

pytestmark = pytest.mark.usefixtures("no_variables")


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


@pytest.mark.parametrize("environment", [None, "", "development"])
def test_without_cognito_the_local_issuer_is_trusted(tmp_path, monkeypatch, environment):
    if environment is not None:
        monkeypatch.setenv("RETAIL_WAREHOUSE_ENV", environment)
    verifier = verifier_from_environment(tmp_path)
    assert verifier.verify(LocalIssuer(tmp_path).token([READ])).client == "local"


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

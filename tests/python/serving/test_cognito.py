"""Tokens as Amazon Cognito issues them, from a pool that stands in for it."""

import time

import boto3
import jwt
import pytest
from jwt.algorithms import RSAAlgorithm
from moto.server import ThreadedMotoServer
from moto.utilities.utils import load_resource
from shared.tokens import NO_JWT, cognito, refuse

from retail_warehouse.serving.tokens import (
    READ,
    WRITE,
    ScopeError,
    verifier_from_environment,
)

pytestmark = pytest.mark.usefixtures("no_variables")


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

"""Programs that may ask for tokens, besides those of the template: clients of the user pool, made and taken away."""

import re
from collections.abc import Iterable
from typing import Any

from stacks import aws_errors_told

from retail_warehouse.errors import DataError
from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS, WRITE

SCOPES = (WRITE, READ, READ_PREDICTIONS)
OF_TEMPLATE = ("till", "reader")


def parsed(text: str) -> tuple[str, list[str]]:
    """Name and scopes of a client, from ``name=scope,scope``.

    Args:
        text: Such as ``shop-3=transactions/write``.

    Raises:
        DataError: It is of another form, names a scope that the API does not know, or would both send and read.
    """
    name, _, rest = text.partition("=")
    scopes = [scope for scope in rest.split(",") if scope]
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if not re.fullmatch(r"[\w-]{1,100}", name) or not scopes or unknown or name in OF_TEMPLATE:
        raise DataError(
            f"--client {text} is not <name>=<scope>,<scope>, such as shop-3={WRITE}. Scopes: {', '.join(SCOPES)}. "
            f"The names {' and '.join(OF_TEMPLATE)} are taken."
        )
    if WRITE in scopes and len(scopes) > 1:
        raise DataError(
            f"--client {text}: a client that sends rows does not read. Give another program another client."
        )
    return name, scopes


class Clients:
    """The clients of a user pool.

    Args:
        cognito: A boto3 client of Cognito.
        pool: Id of the pool.
    """

    def __init__(self, cognito: Any, pool: str) -> None:
        """Ask nothing yet."""
        self._cognito, self._pool = cognito, pool

    def ids(self) -> dict[str, str]:
        """Ids by name."""
        with aws_errors_told():
            pages = self._cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=self._pool)
            found = [client for page in pages for client in page["UserPoolClients"]]
        return {client["ClientName"]: client["ClientId"] for client in found}

    def add(self, name: str, scopes: Iterable[str]) -> str:
        """The id of a client, which is made if there is none of the name. One that is there gets the scopes.

        Args:
            name: Name of the client.
            scopes: Scopes that it may ask for.
        """
        wanted = {
            "UserPoolId": self._pool,
            "ClientName": name,
            "AllowedOAuthFlowsUserPoolClient": True,
            "AllowedOAuthFlows": ["client_credentials"],
            "AllowedOAuthScopes": list(scopes),
            "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"],
            "AccessTokenValidity": 60,
            "TokenValidityUnits": {"AccessToken": "minutes"},
        }
        known = self.ids().get(name)
        with aws_errors_told():
            if known:
                self._cognito.update_user_pool_client(ClientId=known, **wanted)
                return known
            made = self._cognito.create_user_pool_client(GenerateSecret=True, **wanted)
        return made["UserPoolClient"]["ClientId"]

    def id_of_one_to_revoke(self, name: str) -> str:
        """The id of a client that may be taken away.

        Raises:
            DataError: There is none of the name, or the template has it.
        """
        if name in OF_TEMPLATE:
            raise DataError(
                f"The client {name} is one of the template. Change its secret instead: aws cognito-idp "
                "add-user-pool-client-secret, then delete-user-pool-client-secret."
            )
        found = self.ids()
        if name not in found:
            others = ", ".join(sorted(set(found) - set(OF_TEMPLATE))) or "none"
            raise DataError(f"There is no client {name}. Clients that can be revoked: {others}.")
        return found[name]

    def delete(self, client: str) -> None:
        """Delete a client by its id."""
        with aws_errors_told():
            self._cognito.delete_user_pool_client(UserPoolId=self._pool, ClientId=client)

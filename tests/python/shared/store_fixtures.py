"""Fixtures of the serving stores; what they need is imported only when one of them is asked for."""

from collections.abc import Iterator
from contextlib import closing

import pytest


@pytest.fixture(scope="session")
def dynamodb_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def dynamodb_client(dynamodb_endpoint):
    from shared.dynamodb import client_of

    with closing(client_of(dynamodb_endpoint)) as opened:
        yield opened


@pytest.fixture
def table(dynamodb_client) -> Iterator[str]:
    from retail_warehouse.serving.dynamodb_store import create_table

    create_table(dynamodb_client, "lines")
    yield "lines"
    dynamodb_client.delete_table(TableName="lines")


@pytest.fixture
def dynamodb(dynamodb_client, table):
    from retail_warehouse.serving.dynamodb_store import DynamoDbStore

    with closing(DynamoDbStore(table, dynamodb_client)) as store:
        yield store


@pytest.fixture
def sqlite(tmp_path):
    from retail_warehouse.serving.sqlite_store import SqliteStore

    with closing(SqliteStore(tmp_path / "made" / "serving.sqlite")) as store:
        yield store


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request):
    return request.getfixturevalue(request.param)

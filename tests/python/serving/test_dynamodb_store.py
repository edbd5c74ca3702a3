"""The serving store in DynamoDB, on a server that stands in for it."""

import random
import time
from contextlib import closing
from decimal import Decimal

import boto3
import pytest
from botocore.stub import Stubber
from shared.dynamodb import SECRET, client_of
from shared.serving_lines import line

from retail_warehouse.serving import dynamodb_table
from retail_warehouse.serving.dynamodb_store import DynamoDbStore, create_table
from retail_warehouse.serving.store import StoreError


class Throttled:
    """A client whose table takes only some of each batch.

    Args:
        client: The real one.
        taken: Writes that it takes of each batch, for each call; then all.
    """

    def __init__(self, client, taken: list[int]) -> None:
        self._client, self._taken, self.batches = client, taken, []

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def batch_write_item(self, RequestItems: dict) -> dict:
        ((table, requests),) = RequestItems.items()
        self.batches.append(len(requests))
        taken = self._taken.pop(0) if self._taken else len(requests)
        if requests[:taken]:
            assert self._client.batch_write_item(RequestItems={table: requests[:taken]})["UnprocessedItems"] == {}
        left = requests[taken:]
        return {"UnprocessedItems": {table: left} if left else {}}


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Waits that would have been."""
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def test_what_dynamodb_leaves_unprocessed_is_sent_again(dynamodb_client, table, waits):
    throttled = Throttled(dynamodb_client, [10, 0, 14, 1, 9])
    given = [line(f"a:{number}") for number in range(30)]
    store = DynamoDbStore(table, throttled)
    store.put(given)
    assert throttled.batches == [25, 15, 15, 1, 5]
    assert list(store.lines("536365", "85123A")) == given
    throttled.batches, throttled._taken = [], [24, 0]
    assert store.keep_only([]) == 30
    assert throttled.batches == [25, 1, 1, 5]
    assert list(store.lines("536365", "85123A")) == []


def test_waits_grow_and_differ_and_end(dynamodb_client, table, waits, monkeypatch):
    throttled = Throttled(dynamodb_client, [0] * 1000)
    with pytest.raises(StoreError, match=r"table lines: batch_write_item left 1 items .* try again later") as told:
        DynamoDbStore(table, throttled).put([line()])
    assert "536365" not in str(told.value)
    assert len(throttled.batches) == dynamodb_table.ATTEMPTS
    assert len(set(waits)) == len(waits) == dynamodb_table.ATTEMPTS - 1
    waits.clear()
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    with pytest.raises(StoreError):
        DynamoDbStore(table, throttled).put([line()])
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5, 5]


def test_an_item_is_what_the_table_says(dynamodb_client, dynamodb):
    dynamodb.put([line("a:1", customer_id="Unknown", description=None), line("a:2", unit_price=Decimal("0.001"))])
    unknown, known = sorted(
        dynamodb_client.scan(TableName="lines")["Items"], key=lambda item: item["invoice_line_id"]["S"]
    )
    assert "customer_id" not in unknown
    assert "description" not in unknown
    assert known["customer_id"] == {"S": "17850"}
    assert known["transaction"] == {"S": "536365#85123A"}
    assert known["unit_price"] == {"N": "0.001"}
    (index,) = dynamodb_client.describe_table(TableName="lines")["Table"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by_customer"
    (listed,) = dynamodb_client.scan(TableName="lines", IndexName="by_customer")["Items"]
    assert set(listed) == {
        *("transaction", "invoice_line_id", "customer_id", "invoice_no"),
        *("invoiced_at", "quantity", "line_amount"),
    }


def test_lines_are_read_consistently(dynamodb_client, table):
    asked = []
    recorded = Recorded(dynamodb_client, asked)
    store = DynamoDbStore(table, recorded)
    store.lines("536365", "85123A")
    store.keep_only([])
    assert [(operation, values["ConsistentRead"]) for operation, values in asked] == [("query", True), ("scan", True)]


class Recorded:
    """A client that notes what is asked of it page by page."""

    def __init__(self, client, asked: list) -> None:
        self._client, self._asked = client, asked

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def get_paginator(self, operation: str):
        asked, paginator = self._asked, self._client.get_paginator(operation)

        class Paginator:
            def paginate(self, **values):
                asked.append((operation, values))
                return paginator.paginate(**values)

        return Paginator()


@pytest.mark.parametrize(
    ("operation", "use"),
    [
        ("query", lambda store: store.lines("536365", "85123A")),
        ("query", lambda store: store.invoices("17850")),
        ("scan", lambda store: store.keep_only(["data.csv:2"])),
        ("batch_write_item", lambda store: store.put([line()])),
    ],
)
def test_errors_name_the_table_and_the_operation_and_no_item(dynamodb_endpoint, dynamodb_client, operation, use):
    missing = DynamoDbStore("missing", dynamodb_client)
    with pytest.raises(StoreError, match=rf"table missing: {operation} failed, ResourceNotFoundException\. Look"):
        use(missing)
    nowhere = DynamoDbStore("lines", client_of("http://127.0.0.1:9", connect_timeout=2))
    with pytest.raises(StoreError, match=rf"table lines: {operation} failed, EndpointConnectionError\. Look"):
        use(nowhere)
    with closing(client_of(dynamodb_endpoint)) as refused, Stubber(refused) as stubber:
        message = f"{SECRET} may not touch 536365, 17850, data.csv:2"
        stubber.add_client_error(operation, "AccessDeniedException", message)
        with pytest.raises(
            StoreError, match=rf"table lines: {operation} failed, AccessDeniedException\. Allow"
        ) as told:
            use(DynamoDbStore("lines", refused))
    for part in (SECRET, "536365", "17850", "data.csv"):
        assert part not in str(told.value)


def test_a_table_is_made_once(dynamodb_client, table):
    with pytest.raises(StoreError, match=r"table lines: create_table failed, ResourceInUseException\. It exists"):
        create_table(dynamodb_client, table)


def test_the_environment_names_the_region(monkeypatch, tmp_path):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StoreError, match=r"table lines: connect failed, NoRegionError\. Name the region"):
        DynamoDbStore("lines")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with closing(DynamoDbStore("lines")) as store:
        assert store._table.client.meta.region_name == "eu-central-1"

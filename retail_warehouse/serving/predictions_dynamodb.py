"""Where the API finds predictions on AWS: one DynamoDB table."""

import contextlib
import itertools
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from retail_warehouse.serving.store import StoreError

BATCH = 25  # writes, the most that DynamoDB takes at once
PART = 350 << 10  # bytes of an item; DynamoDB takes 400 KB
ATTEMPTS = 12  # of a batch; some 15 s in all
WRITERS = 8  # batches that are written at once
_BATCH_BYTES = 8 << 20  # of a batch; DynamoDB takes 16 MB
_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=50
)
_POINTER = {"key": {"S": "current"}, "part": {"N": "0"}}
_STATISTICS = "statistics"
_FIRST = "first"
_MOST_FIRST = 100  # users that are listed


class _Unprocessed(StoreError):
    pass


class DynamoDbPredictions:
    """A ``PredictionsStore`` in one DynamoDB table, which ``create_predictions_table`` makes.

    ``key``, the partition key, is the generation and the user; ``part``, the sort key, numbers the pieces of what is
    larger than an item. The item ``current`` names the generation that readers take. A publisher writes all of a new
    one, then changes that item, and then removes all but the new one and the one before, which requests that have begun
    may still read.

    Args:
        table_name: The table.
        client: A boto3 client for DynamoDB, which stays the caller's; by default one of the environment's region and
            credentials.

    Raises:
        StoreError: The environment has no region.
    """

    is_local = False

    def __init__(self, table_name: str, client: Any = None) -> None:
        """Name the table; nothing is asked of it yet."""
        self._table = table_name
        self._own_client = client is None
        with self._told("connect"):
            self._client = boto3.client("dynamodb", config=_CONFIG) if client is None else client

    def mark(self) -> str | None:
        """Changes with the generation; see ``PredictionsStore``."""
        return self._current()[0]

    def open(self) -> "DynamoDbGeneration | None":
        """The present generation; see ``PredictionsStore``."""
        name, _ = self._current()
        return DynamoDbGeneration(self, name) if name else None

    def replace(self, statistics: bytes, users: Iterable[tuple[int, bytes]]) -> int:
        """Put another generation in place; see ``PredictionsStore``."""
        name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        count = 0
        first: list[int] = []

        def items() -> Iterator[dict]:
            nonlocal count
            yield from _items(f"{name}/{_STATISTICS}", statistics)
            for user_id, content in users:
                count += 1
                if len(first) < _MOST_FIRST:
                    first.append(user_id)
                yield from _items(f"{name}/{user_id}", content)

        self._put(items())
        self._put(iter(_items(f"{name}/{_FIRST}", ",".join(map(str, first)).encode())))
        before, _ = self._current()
        pointer = _POINTER | {"generation": {"S": name}, "before": {"S": before or ""}}
        with self._told("put_item"):
            self._client.put_item(TableName=self._table, Item=pointer)
        self._remove_but({name, before or name})
        return count

    def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        if self._own_client:
            self._client.close()

    def _current(self) -> tuple[str | None, str | None]:
        with self._told("get_item"):
            found = self._client.get_item(TableName=self._table, Key=_POINTER, ConsistentRead=True).get("Item")
        return (found["generation"]["S"], found["before"]["S"] or None) if found else (None, None)

    def content(self, key: str) -> bytes | None:
        """What stands under a partition key, all parts of it.

        Raises:
            StoreError: The table cannot be read, or a part is missing.
        """
        parts: list[dict] = []
        with self._told("query"):
            for page in self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": "key"},
                ExpressionAttributeValues={":key": {"S": key}},
                ConsistentRead=True,
            ):
                parts += page["Items"]
        if not parts:
            return None
        if len(parts) != int(parts[0]["parts"]["N"]):
            raise StoreError(
                f"The predictions, DynamoDB table {self._table}: a part is missing. Publish them again: "
                "retail-warehouse publish predictions"
            )
        return b"".join(part["content"]["B"] for part in parts)

    def _put(self, items: Iterator[dict]) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            # No more than a few batches wait at a time.
            batches = _batches(items)
            while some := list(itertools.islice(batches, 4 * WRITERS)):
                list(pool.map(self._write, some))

    def _remove_but(self, kept: set[str]) -> None:
        """Remove every generation that is not named; it reads the keys of the whole table."""

        def keys() -> Iterator[dict]:
            with self._told("scan"):
                for page in self._client.get_paginator("scan").paginate(
                    TableName=self._table,
                    ProjectionExpression="#key, part",
                    ExpressionAttributeNames={"#key": "key"},
                    ConsistentRead=True,
                ):
                    for item in page["Items"]:
                        generation, slash, _ = item["key"]["S"].partition("/")
                        if slash and generation not in kept and generation < min(kept):
                            yield item

        for batch in _batches(keys(), is_key=True):
            self._write(batch)

    def _write(self, requests: list[dict]) -> None:
        for attempt in Retrying(
            retry=retry_if_exception_type(_Unprocessed),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(0.1, 5.0),  # seconds
            reraise=True,
        ):
            with attempt, self._told("batch_write_item"):
                response = self._client.batch_write_item(RequestItems={self._table: requests})
                requests = list(itertools.chain.from_iterable(response.get("UnprocessedItems", {}).values()))
                if requests:
                    raise _Unprocessed(
                        f"The predictions, DynamoDB table {self._table}: {len(requests)} items were left unwritten "
                        f"{ATTEMPTS} times. The table has too little capacity now; try again later."
                    )

    @contextlib.contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            # Not its text, which can quote items.
            reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            raise StoreError(
                f"The predictions, DynamoDB table {self._table}: {operation} failed, {reason}. Look whether the table, "
                "the region and the credentials are right, and try again."
            ) from error


class DynamoDbGeneration:
    """A ``Generation`` in a DynamoDB table."""

    def __init__(self, store: DynamoDbPredictions, name: str) -> None:
        """Name it; nothing is read yet."""
        self._store, self._name = store, name

    def user(self, user_id: int) -> bytes | None:
        """What is predicted of a user; see ``Generation``."""
        found = self._store.content(f"{self._name}/{user_id}")
        if found is None and self._store.content(f"{self._name}/{_FIRST}") is None:
            # Two newer ones were published since: nothing tells whether there was such a user.
            raise StoreError("The generation of predictions was removed.")
        return found

    def statistics(self) -> bytes:
        """What is the same for all users; see ``Generation``."""
        return self._store.content(f"{self._name}/{_STATISTICS}") or b""

    def first_users(self, most: int) -> list[int]:
        """Some users; see ``Generation``."""
        text = (self._store.content(f"{self._name}/{_FIRST}") or b"").decode()
        return [int(user) for user in text.split(",") if user][:most]

    def close(self) -> None:
        """Nothing is held open."""


def create_predictions_table(client: Any, name: str) -> None:
    """Make the table of predictions, paid per request, and wait until it can be used.

    Args:
        client: A boto3 client for DynamoDB.
        name: The table.

    Raises:
        StoreError: It cannot be made, or exists.
    """
    with DynamoDbPredictions(name, client)._told("create_table"):
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "key", "AttributeType": "S"},
                {"AttributeName": "part", "AttributeType": "N"},
            ],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}, {"AttributeName": "part", "KeyType": "RANGE"}],
        )
        waiter = client.get_waiter("table_exists")
        waiter.wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 150})  # seconds


def _items(key: str, content: bytes) -> list[dict]:
    parts = [content[at : at + PART] for at in range(0, len(content), PART)] or [b""]
    return [
        {"key": {"S": key}, "part": {"N": str(number)}, "parts": {"N": str(len(parts))}, "content": {"B": part}}
        for number, part in enumerate(parts)
    ]


def _batches(items: Iterable[dict], is_key: bool = False) -> Iterator[list[dict]]:
    """Requests to put items, or to delete those of some keys, as many as DynamoDB takes at once."""
    batch: list[dict] = []
    size = 0
    for item in items:
        length = 0 if is_key else len(item["content"]["B"])
        if batch and (len(batch) == BATCH or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"DeleteRequest": {"Key": item}} if is_key else {"PutRequest": {"Item": item}})
        size += length
    if batch:
        yield batch

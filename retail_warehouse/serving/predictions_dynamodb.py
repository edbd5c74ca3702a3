"""Where the API finds predictions on AWS: one DynamoDB table."""

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from retail_warehouse.serving.dynamodb_table import BATCH, DynamoDbTable
from retail_warehouse.serving.store import StoreError

_WHAT = "The predictions"  # in messages
PART = 350 << 10  # bytes of an item; DynamoDB takes 400 KB
_BATCH_BYTES = 8 << 20  # of a batch; DynamoDB takes 16 MB
_POINTER = {"key": {"S": "current"}, "part": {"N": "0"}}
_STATISTICS = "statistics"
_FIRST = "first"
_MOST_FIRST = 100  # users that are listed


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
        self._table = DynamoDbTable(_WHAT, table_name, StoreError, client)

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

        self._table.write_all(_batches(items()))
        self._table.write_all(_batches(iter(_items(f"{name}/{_FIRST}", ",".join(map(str, first)).encode()))))
        before, _ = self._current()
        pointer = _POINTER | {"generation": {"S": name}, "before": {"S": before or ""}}
        with self._table.told("put_item"):
            self._table.client.put_item(TableName=self._table.name, Item=pointer)
        self._remove_but({name, before or name})
        return count

    def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        self._table.close()

    def _current(self) -> tuple[str | None, str | None]:
        with self._table.told("get_item"):
            answer = self._table.client.get_item(TableName=self._table.name, Key=_POINTER, ConsistentRead=True)
        found = answer.get("Item")
        return (found["generation"]["S"], found["before"]["S"] or None) if found else (None, None)

    def content(self, key: str) -> bytes | None:
        """What stands under a partition key, all parts of it.

        Raises:
            StoreError: The table cannot be read, or a part is missing.
        """
        parts = list(
            self._table.items(
                "query",
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": "key"},
                ExpressionAttributeValues={":key": {"S": key}},
                ConsistentRead=True,
            )
        )
        if not parts:
            return None
        if len(parts) != int(parts[0]["parts"]["N"]):
            raise StoreError(
                f"{_WHAT}, DynamoDB table {self._table.name}: a part is missing. Publish them again: "
                "retail-warehouse publish predictions"
            )
        return b"".join(part["content"]["B"] for part in parts)

    def _remove_but(self, kept: set[str]) -> None:
        """Remove every generation that is not named; it reads the keys of the whole table."""

        def keys() -> Iterator[dict]:
            for item in self._table.items(
                "scan",
                ProjectionExpression="#key, part",
                ExpressionAttributeNames={"#key": "key"},
                ConsistentRead=True,
            ):
                generation, slash, _ = item["key"]["S"].partition("/")
                if slash and generation not in kept and generation < min(kept):
                    yield item

        for batch in _batches(keys(), is_key=True):
            self._table.write(batch)


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
    DynamoDbTable(_WHAT, name, StoreError, client).create(
        AttributeDefinitions=[
            {"AttributeName": "key", "AttributeType": "S"},
            {"AttributeName": "part", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}, {"AttributeName": "part", "KeyType": "RANGE"}],
    )


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

"""What all DynamoDB tables of the project share: how they are asked, what is tried again, and what an error tells."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

BATCH = 25  # writes, the most that DynamoDB takes at once
ATTEMPTS = 12  # of what DynamoDB leaves unprocessed; some 15 s in all
WRITERS = 8  # requests that are sent at once
_READS = 100  # the most that DynamoDB reads at once by their keys
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds
_CONFIG = Config(
    connect_timeout=3,  # seconds
    read_timeout=10,
    retries={"mode": "standard", "max_attempts": 5},
    max_pool_connections=50,
)
_ADVICE = {
    "AccessDeniedException": (
        "Allow this role to query, scan, batch-get and batch-write the table and to query its indexes; on the list of "
        "events what docs/streaming_in_production.md lists."
    ),
    "EndpointConnectionError": "Look whether the region is right and can be reached from here.",
    "ExpiredTokenException": "Renew the AWS credentials.",
    "NoCredentialsError": "Give this process AWS credentials, best by a role.",
    "NoRegionError": "Name the region of the table in AWS_DEFAULT_REGION.",
    "ResourceInUseException": "It exists already, or is being made or dropped.",
    "ResourceNotFoundException": "Look whether the region and the name are right, or make the table.",
    "UnrecognizedClientException": "Look whether the AWS credentials are right.",
}


class DynamoDbTable:
    """A table. Safe to use from several threads.

    Attributes:
        client: The boto3 client. Errors of its own calls are told by :meth:`told`.
        name: Name of the table.
    """

    def __init__(self, what: str, name: str, failure: type[Exception], client: Any = None) -> None:
        """Name the table; nothing is asked of it yet.

        Args:
            what: What messages call it, such as ``The serving store``.
            name: The table.
            failure: What is raised where it does not answer.
            client: A boto3 client for DynamoDB, which stays the caller's; by default one of the environment's region
                and credentials.

        Raises:
            failure: The environment has no region.
        """
        self.name = name
        self._what, self._failure = what, failure
        self._closed = False
        self._own_client = client is None
        with self.told("connect"):
            self.client = boto3.client("dynamodb", config=_CONFIG) if client is None else client

    @contextlib.contextmanager
    def told(self, operation: str) -> Iterator[None]:
        """Context in which an error of AWS becomes one that names the table and says what to do.

        Args:
            operation: As AWS calls it, such as ``put_item``.

        Raises:
            failure: The operation failed, or the table was closed.
        """
        if self._closed:
            raise self._failure(f"{self._what}, DynamoDB table {self.name}, is closed. Open it again.")
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            # Not its text, which can quote items.
            reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            advice = _ADVICE.get(reason, "Try again; if it stays so, look at the table in the AWS console.")
            raise self._failure(
                f"{self._what}, DynamoDB table {self.name}: {operation} failed, {reason}. {advice}"
            ) from error

    def items(self, operation: str, **arguments: Any) -> Iterator[dict]:
        """The items that ``query`` or ``scan`` finds, page by page.

        Raises:
            failure: The table cannot be read.
        """
        with self.told(operation):
            # A page holds 1 MB.
            for page in self.client.get_paginator(operation).paginate(TableName=self.name, **arguments):
                yield from page["Items"]

    def items_of(self, keys: Iterable[dict]) -> Iterator[dict]:
        """The items with some keys, as far as they are there, as they are now, in any order.

        Args:
            keys: None of them twice.

        Raises:
            failure: The table cannot be read.
        """
        for batch in batches(keys, _READS):
            asked = {self.name: {"Keys": batch, "ConsistentRead": True}}
            found: list[dict] = []

            def read(found: list[dict] = found) -> int:
                nonlocal asked
                with self.told("batch_get_item"):
                    answer = self.client.batch_get_item(RequestItems=asked)
                found += answer["Responses"].get(self.name, [])
                asked = answer.get("UnprocessedKeys") or {}
                return len(asked[self.name]["Keys"]) if asked else 0

            self._until_none_is_left("batch_get_item", read)
            yield from found

    def write(self, requests: Sequence[dict]) -> None:
        """Put and delete up to 25 items; durable on return.

        Args:
            requests: As of ``BatchWriteItem``.

        Raises:
            failure: The table cannot be written; some of them may have been.
        """
        left = list(requests)

        def write() -> int:
            nonlocal left
            with self.told("batch_write_item"):
                answer = self.client.batch_write_item(RequestItems={self.name: left})
            left = list(itertools.chain.from_iterable(answer.get("UnprocessedItems", {}).values()))
            return len(left)

        self._until_none_is_left("batch_write_item", write)

    def write_all(self, requests: Iterable[Sequence[dict]]) -> None:
        """Write batches, several at once; none of the items may be in two of them.

        Raises:
            failure: The table cannot be written; some of them may have been.
        """
        rest = iter(requests)
        with ThreadPoolExecutor(WRITERS) as pool:
            # No more than a few batches wait at a time.
            while some := list(itertools.islice(rest, 4 * WRITERS)):
                list(pool.map(self.write, some))

    def _until_none_is_left(self, operation: str, step: Callable[[], int]) -> None:
        """Repeat what returns the number of items that DynamoDB left; errors boto3 tries again by itself."""

        def give_up(state: RetryCallState) -> None:
            left = state.outcome.result() if state.outcome else 0
            raise self._failure(
                f"{self._what}, DynamoDB table {self.name}: {operation} left {left} items {ATTEMPTS} times. The table "
                "has too little capacity now; try again later."
            )

        Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(ATTEMPTS),
            # A random part of it, so that those that were refused together do not come back together.
            wait=wait_random_exponential(_FIRST_WAIT, _LONGEST_WAIT),
            retry_error_callback=give_up,
        )(step)

    def create(self, **schema: Any) -> None:
        """Make the table, paid per request, and wait until it can be used.

        Args:
            schema: As of ``CreateTable``.

        Raises:
            failure: It cannot be made, or exists.
        """
        with self.told("create_table"):
            self.client.create_table(TableName=self.name, BillingMode="PAY_PER_REQUEST", **schema)
            waiter = self.client.get_waiter("table_exists")
            waiter.wait(TableName=self.name, WaiterConfig={"Delay": 2, "MaxAttempts": 150})  # seconds

    def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        self._closed = True
        if self._own_client:
            self.client.close()


def batches(things: Iterable, most: int = BATCH) -> Iterator[list]:
    """Things in their order, so many at a time."""
    iterator = iter(things)
    while batch := list(itertools.islice(iterator, most)):
        yield batch

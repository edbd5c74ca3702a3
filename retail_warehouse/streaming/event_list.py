"""The list of events of a landing on S3: one DynamoDB table, which ``create_events_table`` makes.

Items, by their key ``event_id``:

* an event: the ``digest`` of its line, and ``landed_in``, the file of the commit that took it;
* a commit, by the path of its file: its ``state``, and since when it is ``open``;
* the landing's identity.

An event id ends in ``:`` and a number, so that none of the others can be taken for one. The sparse index ``unsettled``
holds the open commits alone. A file without a commit was there before the table, and its events are landed.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from retail_warehouse.serving.dynamodb_table import WRITERS, DynamoDbTable, batches
from retail_warehouse.streaming.landing import Known, LandingError, digest_of
from retail_warehouse.streaming.rules import Event

OPEN, LANDED, REFUSED = "open", "landed", "refused"
INDEX = "unsettled"
_WHAT = "The list of events"  # in messages
_TOGETHER = 100  # writes of a transaction, the most that DynamoDB takes
_IDENTITY = {"event_id": {"S": "landing"}}
_CONFLICT_SECONDS = 8.0  # for how long a transaction is tried again that others are in the way of
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.5  # seconds
_CONDITION = "ConditionalCheckFailed"
# Why a transaction is cancelled that may succeed when it is tried again.
_PASSING = (_CONDITION, "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")


class Commit(NamedTuple):
    """What is known of a commit.

    Args:
        state: ``open``, ``landed`` or ``refused``.
        begun_at: Seconds since 1970, by the clock of whoever began it.
    """

    state: str
    begun_at: float


class Claimed(Exception):
    """Another commit was faster with some of the events."""


class EventList:
    """The table. Safe to use from several threads and processes."""

    def __init__(self, table_name: str, client: Any = None) -> None:
        """Name the table; nothing is asked of it yet.

        Args:
            table_name: The table.
            client: A boto3 client for DynamoDB, which stays the caller's; by default one of the environment.

        Raises:
            LandingError: The environment has no region.
        """
        self._table = DynamoDbTable(_WHAT, table_name, LandingError, client)
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="claims")

    def identity(self) -> str | None:
        """What tells the landing from others; none where the list is not complete yet.

        Raises:
            LandingError: The table cannot be read.
        """
        found = next(self._table.items_of([_IDENTITY]), None)
        return found["identity"]["S"] if found else None

    def set_identity(self, identity: str) -> str:
        """Say that the list is complete, and return its identity: this one, or the one that another was faster with.

        Raises:
            LandingError: The table cannot be written.
        """
        item = _IDENTITY | {"identity": {"S": identity}}
        with self._table.told("put_item"):
            try:
                self._table.client.put_item(
                    TableName=self._table.name, Item=item, ConditionExpression="attribute_not_exists(event_id)"
                )
            except self._table.client.exceptions.ConditionalCheckFailedException:
                return self.identity() or identity
        return identity

    def enter(self, landed: Mapping[str, Known]) -> None:
        """Enter events that were landed before there was this list.

        Raises:
            LandingError: The table cannot be written.
        """
        items = (_event(event_id, known.digest, known.landing_file) for event_id, known in landed.items())
        self._table.write_all(batches({"PutRequest": {"Item": item}} for item in items))

    def find(self, event_ids: Collection[str]) -> dict[str, Known]:
        """Those of some events that a commit has claimed, whatever has become of it.

        Raises:
            LandingError: The table cannot be read.
        """
        found = self._table.items_of([{"event_id": {"S": event_id}} for event_id in event_ids])
        return {item["event_id"]["S"]: Known(item["digest"]["B"], item["landed_in"]["S"]) for item in found}

    def commits(self, files: Iterable[str]) -> dict[str, Commit]:
        """The commits of files.

        Raises:
            LandingError: The table cannot be read.
        """
        names = set(files)
        found = {
            item["event_id"]["S"]: Commit(item["state"]["S"], float(item["begun_at"]["N"]))
            for item in self._table.items_of([{"event_id": {"S": name}} for name in names])
        }
        return {name: found.get(name) or Commit(LANDED, 0.0) for name in names}

    def claim(self, file: str, events: Sequence[Event], refused: Mapping[str, str]) -> None:
        """Begin a commit, and claim events for it. After an error some may be claimed.

        Args:
            file: Path of the commit's file, which no other commit has.
            events: None of them twice.
            refused: Events that a refused commit has claimed, with the file of that.

        Raises:
            Claimed: Another commit has claimed one of them meanwhile.
            LandingError: The table cannot be written.
        """
        commit = {
            "event_id": {"S": file},
            "state": {"S": OPEN},
            INDEX: {"S": "yes"},
            "begun_at": {"N": f"{time.time():.3f}"},
        }
        puts = [
            self._put(_event(event.event_id, digest_of(event), file), refused.get(event.event_id)) for event in events
        ]
        first = _TOGETHER - 1
        # Whoever finds an event also finds its commit.
        self._transact(file, [self._put(commit), *puts[:first]])
        list(self._pool.map(lambda some: self._transact(file, some), batches(puts[first:], _TOGETHER)))

    def _put(self, item: dict, instead_of: str | None = None) -> dict:
        """A put in place of nothing, or of what another commit has claimed."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(event_id)"}
        if instead_of is not None:
            condition = {
                "ConditionExpression": "landed_in = :file",
                "ExpressionAttributeValues": {":file": {"S": instead_of}},
            }
        named = {"TableName": self._table.name, "Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        return {"Put": named | condition}

    def _transact(self, file: str, puts: Sequence[dict]) -> None:
        def write() -> bool:
            """Whether it has to be tried again."""
            with self._table.told("transact_write_items"):
                try:
                    # boto3 tries again under the same token, so that what was done in vain is not done twice.
                    self._table.client.transact_write_items(TransactItems=puts)
                except self._table.client.exceptions.TransactionCanceledException as error:
                    failed = [one for one in error.response["CancellationReasons"] if one.get("Code", "None") != "None"]
                    held = [one.get("Item", {}) for one in failed if one["Code"] == _CONDITION]
                    if any(not _is_of(item, file) for item in held):
                        raise Claimed from error
                    if any(one["Code"] not in _PASSING for one in failed):
                        raise
                    # Those that are held already are of an earlier try, whose answer was lost.
                    return not held
            return False

        def give_up(_: RetryCallState) -> None:
            raise LandingError(
                f"{_WHAT}, DynamoDB table {self._table.name}: other processes are in the way, or it has too little "
                "capacity now; try again later."
            )

        Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_delay(_CONFLICT_SECONDS),
            wait=wait_random_exponential(_FIRST_WAIT, _LONGEST_WAIT),
            retry_error_callback=give_up,
        )(write)

    def settle(self, file: str, state: str) -> str:
        """Say what has become of a commit, and return what holds: another process may have been faster.

        Args:
            file: Path of its file.
            state: ``landed`` or ``refused``.

        Raises:
            LandingError: The table cannot be written.
        """
        with self._table.told("update_item"):
            try:
                self._table.client.update_item(
                    TableName=self._table.name,
                    Key={"event_id": {"S": file}},
                    UpdateExpression="set #state = :state remove #unsettled",
                    ConditionExpression="#state = :open",
                    ExpressionAttributeNames={"#state": "state", "#unsettled": INDEX},
                    ExpressionAttributeValues={":state": {"S": state}, ":open": {"S": OPEN}},
                )
            except self._table.client.exceptions.ConditionalCheckFailedException:
                return self.commits([file])[file].state
        return state

    def open_commits(self) -> dict[str, Commit]:
        """The commits that were begun and not settled, by their files.

        Raises:
            LandingError: The table cannot be read.
        """
        found = self._table.items(
            "query",
            IndexName=INDEX,
            KeyConditionExpression="#unsettled = :yes",
            ExpressionAttributeNames={"#unsettled": INDEX},
            ExpressionAttributeValues={":yes": {"S": "yes"}},
        )
        # The index is a little behind.
        commits = self.commits([item["event_id"]["S"] for item in found])
        return {file: commit for file, commit in sorted(commits.items()) if commit.state == OPEN}

    def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        self._pool.shutdown(wait=False)
        self._table.close()


def create_events_table(client: Any, name: str) -> None:
    """Make the table of a list of events, paid per request, and wait until it can be used.

    Args:
        client: A boto3 client for DynamoDB.
        name: The table.

    Raises:
        LandingError: It cannot be made, or exists.
    """
    DynamoDbTable(_WHAT, name, LandingError, client).create(
        AttributeDefinitions=[{"AttributeName": text, "AttributeType": "S"} for text in ("event_id", INDEX)],
        KeySchema=[{"AttributeName": "event_id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": [{"AttributeName": INDEX, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


def _event(event_id: str, digest: bytes, file: str) -> dict:
    return {"event_id": {"S": event_id}, "digest": {"B": digest}, "landed_in": {"S": file}}


def _is_of(item: dict, file: str) -> bool:
    """Whether what stands in the way of a put is what that put has put before."""
    return file in (item.get("landed_in", {}).get("S"), item.get("event_id", {}).get("S"))

"""The landing on S3, for API processes without a disk. Several may land in one prefix at the same time.

The events that a process takes in together are a commit, and the rows of a commit are one object, which dbt reads. Its
steps, all of them before the answer:

1. *Claim.* In the list of events (``event_list.py``), write the commit as open and put each event under it, on the
   condition that no other commit has it.
2. *Land.* Put the object, on the condition that there is none of its name (``If-None-Match: *``).
3. *Store.* Store the accepted lines for look-ups.
4. *Settle.* Write the commit as landed.

**An event is taken in if and only if the object of its commit is there with its row.** Step 2 decides, and nothing
else. An object's name belongs to one commit, and S3 lets it be written once: with the rows, or empty. So whoever wants
to know what has become of a commit, its own process after a time-out or another one after a crash, puts an empty object
of that name. If S3 takes it, the commit is refused: rows that arrive later find the name taken. If S3 does not take it,
the object that is there tells. Nobody has to trust a clock or to believe that somebody is dead.

Why in this order:

* Claims come before the object, since dbt reads an object as soon as it is there: two commits with the same event would
  both be read, and one that contradicts the other could not be taken back.
* The store comes after the object. Look-ups never show what was not taken, nothing has to be removed from the store,
  and a commit that is refused leaves nothing but claims, which anybody may take over.
* The mark comes last. While it is missing, the commit is looked into: whoever finds the object stores its lines before
  marking it. So a commit that is marked as landed can be looked up.

Killed before 2, nothing was taken: its claims are taken over when the events are sent again. Killed after 2, all was
taken, and the next process stores and settles it. An error before 2 is answered 503, and so is one in 2 if S3 says that
the object is not there. :class:`InDoubt` is left for two cases: S3 does not tell what has become of the object, or the
object is there and the store fails. Both are looked into again until they are settled.

An object is not merged for some minutes (``merging.UNSETTLED``), longer than a process tries to put it. After that, its
rows are looked for in merged ones as well. An empty object is never merged or removed.
"""

import contextlib
import itertools
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from retail_warehouse.serving.dynamodb_table import batches
from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming.event_list import LANDED, OPEN, REFUSED, Claimed, EventList
from retail_warehouse.streaming.landing import (
    Events,
    InDoubt,
    Known,
    LandingError,
    Undecided,
    digest_of,
    events_of,
    folder_of,
    new_name,
    record,
)
from retail_warehouse.streaming.merging import S3, UNSETTLED, merged_rows
from retail_warehouse.streaming.rules import Event

# Each put is sent once: what became of one that failed must be known before the next.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})  # seconds
_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NEVER_SENT = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
# Answers by which S3 says that it has not begun, and that it may later.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NOT_BEGUN = ("SlowDown", "ConditionalRequestConflict", "RequestTimeout")
_PUT_SECONDS = 5.0  # for how long rows are put, and then for how long it is asked what has become of them
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0  # seconds
_OTHERS_SECONDS = 1.0  # for how long the commit of another process is waited for
_OTHERS_PAUSE = 0.05
#: Age in seconds from which on a commit is looked into by others. What they do is right at any age, but early it would
#: stop those who are slow.
LOOKED_INTO = 20.0
_ENTERED = 5_000  # events that are entered at a time
_ADVICE = {
    "AccessDenied": "Allow this role to put and get objects of the prefix, and to list it.",
    "EndpointConnectionError": "Look whether the region is right and can be reached from here.",
    "ExpiredToken": "Renew the AWS credentials.",
    "NoCredentialsError": "Give this process AWS credentials, best by a role.",
    "NoSuchBucket": "Look whether the name of the bucket is right, or make it.",
}


class _Sent(Exception):
    """A put has failed, and may have been done or be done later."""


class _NotNow(LandingError):
    """It was not done, and may be another time."""


class _Lost(Exception):
    """Another commit was faster with some of the events; nothing was taken."""


class S3Landing:
    """A :class:`Landing` below a prefix of S3, with its list of events in DynamoDB.

    Attributes:
        name: The prefix, for messages.
        identity: What tells this landing from others; it lasts as long as the list of events.
    """

    def __init__(self, url: str, table_name: str, s3: Any = None, dynamodb: Any = None) -> None:
        """Open the landing. If its list of events is new, the events of all files that are there are entered.

        Args:
            url: Such as ``s3://bucket/streamed``.
            table_name: The table of the list of events.
            s3: A boto3 client of S3 that sends each request once; by default one of the environment's credentials.
            dynamodb: The same of DynamoDB, which may try again.

        Raises:
            LandingError: The prefix or the table cannot be read or written.
        """
        self.name = url.rstrip("/")
        self._bucket, _, prefix = self.name.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._own_client = s3 is None
        with self._told():
            self._s3 = boto3.client("s3", config=_CONFIG) if s3 is None else s3
            # What cannot work is told now, and not to the first who sends rows.
            self._s3.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        self._place = S3(self.name, self._s3)
        self._events = EventList(table_name, dynamodb)
        self._in_doubt: set[str] = set()  # commits of this process
        self.identity = self._events.identity() or self._listed_anew()

    def _listed_anew(self) -> str:
        """Enter the events of all files into a new list, and return its identity."""
        with self._told():
            names = sorted(self._place.sizes())
        for name in names:
            for some in batches(self._known_of(name), _ENTERED):
                # The first one counts, as for dbt.
                known = dict(reversed(some))
                for event_id in self._events.find(known):
                    del known[event_id]
                self._events.enter(known)
        # Last, so that nobody takes in events by a list that is not complete.
        return self._events.set_identity(secrets.token_hex(8))

    def _known_of(self, name: str) -> Iterator[tuple[str, Known]]:
        with self._told(), self._place.read(name) as file:
            for line in file:
                for event in events_of([line]):
                    landing_file = json.loads(line).get("landing_file", name)
                    yield event.event_id, Known(digest_of(event), landing_file)

    # Taking in

    def take_in(self, events: Sequence[Event], store: Events, take_back: Events) -> Mapping[str, Known]:
        """Land events, except those that were received before, and return these; see :class:`Landing`.

        Raises:
            Undecided: Another process is taking in some of them.
            LandingError: S3 or DynamoDB does not answer; none was taken.
            InDoubt: It is not known whether they were taken, or they were and cannot be looked up yet.
        """
        deadline = time.monotonic() + _OTHERS_SECONDS
        while True:
            try:
                return self._take_in(events, store, deadline)
            except _Lost as error:
                if time.monotonic() > deadline:
                    raise Undecided(
                        f"Other processes take in the same events in {self.name}; try again later.",
                        [event.event_id for event in events],
                    ) from error
                time.sleep(random.uniform(0, _OTHERS_PAUSE))  # not at the same time once more

    def _take_in(self, events: Sequence[Event], store: Events, deadline: float) -> Mapping[str, Known]:
        known, refused = self._received([event.event_id for event in events], deadline)
        new = [event for event in events if event.event_id not in known]
        if not new:
            return known
        name = new_name()
        file = f"{folder_of(name)}/{name}.ndjson"
        try:
            self._events.claim(file, new, refused)
        except (Claimed, LandingError) as error:
            self._settle(file, REFUSED)
            if isinstance(error, Claimed):
                raise _Lost from error
            raise
        try:
            self._land(file, b"".join(record(event, position) for position, event in enumerate(new, start=1)))
        except LandingError:
            self._settle(file, REFUSED)
            raise
        try:
            store(new)
        except Exception as error:
            self._in_doubt.add(file)
            # Other errors may quote rows.
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            raise InDoubt(f"Rows are landed in {self.name} and cannot be looked up yet: {reason}") from error
        self._settle(file, LANDED)
        return known

    def _received(self, event_ids: Sequence[str], deadline: float) -> tuple[dict[str, Known], dict[str, str]]:
        """Events that were received before; and those that only refused commits have claimed, with the files of
        these."""
        while True:
            found = self._events.find(event_ids)
            states = self._events.commits({known.landing_file for known in found.values()})
            by_state: dict[str, dict[str, Known]] = {OPEN: {}, LANDED: {}, REFUSED: {}}
            for event_id, known in found.items():
                by_state[states[known.landing_file].state][event_id] = known
            if not by_state[OPEN]:
                return by_state[LANDED], {event_id: known.landing_file for event_id, known in by_state[REFUSED].items()}
            oldest = min(states[known.landing_file].begun_at for known in by_state[OPEN].values())
            # Nobody waits for those who may be dead.
            if time.monotonic() > deadline or time.time() - oldest > _OTHERS_SECONDS:
                message = f"Another process takes in the same events in {self.name}, or was cut off; try again later."
                raise Undecided(message, by_state[OPEN])
            time.sleep(_OTHERS_PAUSE)

    def _settle(self, file: str, state: str) -> None:
        # If it fails, the commit stays open, and whoever looks into it finds the same.
        with contextlib.suppress(LandingError):
            self._events.settle(file, state)

    # Objects

    def _land(self, file: str, rows: bytes) -> None:
        """Put the rows of a commit.

        Raises:
            LandingError: They are not there, and never will be.
            InDoubt: S3 does not tell.
        """
        may_be_there = False

        def put() -> bool:
            nonlocal may_be_there
            try:
                return self._put(file, rows)
            except _Sent:
                may_be_there = True
                raise

        try:
            if self._patiently(put) or self._content(file) == rows:
                return
            problem = LandingError(f"Another process took this one for dead while it landed in {self.name}; try again.")
        except _Sent as error:
            problem = LandingError(f"Rows cannot be landed in {self.name}: {error}. Try again later.")
        except LandingError as error:
            problem = error
        if not may_be_there or not self._has_landed(file):
            raise problem

    def _has_landed(self, file: str) -> bool:
        try:
            return self._patiently(lambda: self._is_landed(file))
        except (_Sent, LandingError) as error:
            self._in_doubt.add(file)
            raise InDoubt(f"{self.name} does not tell whether rows are landed: {error}") from error

    def _is_landed(self, file: str) -> bool:
        """Whether the rows of a commit are there. If not, they never will be."""
        return not self._put(file, b"") and self._content(file) != b""

    def _put(self, file: str, content: bytes) -> bool:
        """Put an object that is not there yet; whether it was not.

        Raises:
            _Sent: It is not known whether it was put, or will be.
            LandingError: It was not put.
        """
        try:
            self._s3.put_object(Bucket=self._bucket, Key=self._prefix + file, Body=content, IfNoneMatch="*")
        except _NOT_SENT as error:
            raise self._error(error, _NotNow) from error
        except _NEVER_SENT as error:
            raise self._error(error) from error
        except ClientError as error:
            status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
            if status == 412:
                return False
            if code in _NOT_BEGUN:
                raise self._error(error, _NotNow) from error
            if status < 500:
                raise self._error(error) from error
            raise _Sent(code) from error
        except Exception as error:  # whatever it is, it may have been sent
            raise _Sent(type(error).__name__) from error
        return True

    def _content(self, file: str) -> bytes:
        with self._told(_NotNow):
            return self._s3.get_object(Bucket=self._bucket, Key=self._prefix + file)["Body"].read()

    def _patiently(self, ask: Callable[[], bool]) -> bool:
        """Ask until there is an answer, for a while."""
        deadline = time.monotonic() + _PUT_SECONDS
        for attempt in itertools.count():
            try:
                return ask()
            except (_Sent, _NotNow):
                pause = random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))
                if time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
        raise AssertionError

    @contextlib.contextmanager
    def _told(self, kind: type[LandingError] = LandingError) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._error(error, kind) from error

    def _error(self, error: Exception, kind: type[LandingError] = LandingError) -> LandingError:
        # Not its text, which can quote keys.
        reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        advice = _ADVICE.get(reason, "Try again; if it stays so, look at the bucket in the AWS console.")
        return kind(f"Rows cannot be landed in {self.name}: {reason}. {advice}")

    # What was left behind

    def take_over(self, store: Events) -> int:
        """Look into commits that were not brought to their end: those of this process, and those of others that have
        had the time for it; see :class:`Landing`.

        Raises:
            LandingError: One of them cannot be looked into; the others were.
        """
        looked, failure = 0, None
        commits = self._events.open_commits()
        self._in_doubt &= commits.keys()  # others may have settled some
        for file, commit in commits.items():
            if file not in self._in_doubt and time.time() - commit.begun_at < LOOKED_INTO:
                continue
            try:
                self._look_into(file, commit.begun_at, store)
                looked += 1
            except _Sent as error:
                failure = LandingError(f"{self.name} does not tell whether rows are landed: {error}.")
            except Exception as error:  # also of the store
                failure = error
        if failure:
            raise failure
        return looked

    def _look_into(self, file: str, begun_at: float, store: Events) -> None:
        rows = self._rows_of(file, begun_at)
        if rows:
            store(list(events_of(rows)))
        self._events.settle(file, LANDED if rows else REFUSED)
        self._in_doubt.discard(file)

    def _rows_of(self, file: str, begun_at: float) -> list[bytes]:
        """The rows of a commit. If there are none, there never will be."""
        if not self._put(file, b""):
            return self._content(file).splitlines(keepends=True)
        if time.time() - begun_at < UNSETTLED.total_seconds() / 2:
            return []
        # It may have been there, and merged since.
        with self._told():
            return merged_rows(self._place, file)

    def undo(self, remove: Events) -> int:
        """Nothing to do: nothing is stored before it is taken in; see :class:`Landing`."""
        return 0

    def hand_over(self) -> None:
        """Nothing to do: dbt reads an object as soon as it is there; see :class:`Landing`."""

    def seconds_behind(self) -> None:
        """Not known: what dbt has read is not noted on S3; see :class:`Landing`."""

    def close(self) -> None:
        """Close the connections, unless the clients are the caller's; see :class:`Landing`."""
        self._events.close()
        if self._own_client:
            self._s3.close()

"""What a landing is: where acknowledged events are durable, as files that dbt reads. ``landing_folder.py`` lands on a
disk, ``landing_s3.py`` on S3 without one."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from retail_warehouse.streaming.rules import Event, ShortenedEvent

Events = Callable[[Sequence[Event]], None]  # something that is done with events


class LandingError(Exception):
    """The landing does not take events, and none was taken; the message names it and says what to do."""


class Undecided(LandingError):
    """Another process is taking in some of the events just now, or was killed while it did.

    Attributes:
        event_ids: Those events.
    """

    def __init__(self, message: str, event_ids: Collection[str]) -> None:
        """Name the events, which the message must not."""
        super().__init__(message)
        self.event_ids = frozenset(event_ids)


class InDoubt(Exception):
    """Whether events are taken in is not known now, or they are and cannot be looked up yet. It is found out later,
    and what was sent again meanwhile is not taken twice."""


class Known(NamedTuple):
    """An event that was received before.

    Args:
        digest: Of its line (see :func:`digest`).
        landing_file: Name of the file that holds it.
    """

    digest: bytes
    landing_file: str


class Landing(Protocol):
    """Lands events for good, each once, also where several processes land. Not safe to use from several threads at
    once.

    Attributes:
        name: The folder or the prefix, for messages.
        identity: What tells this landing from others; it lasts as long as its list of events.
    """

    name: str
    identity: str

    def take_in(self, events: Sequence[Event], store: Events, take_back: Events) -> Mapping[str, Known]:
        """Land events, except those that were received before, and return these, by their ids.

        Args:
            events: None of their ids twice.
            store: Gets those that are landed now, and stores them for look-ups. If it fails, it is called again later,
                or `take_back` is.
            take_back: Removes from there what `store` got and what was refused after all.

        Raises:
            LandingError: None of them was taken.
            InDoubt: That is not known now.
        """
        ...

    def hand_over(self) -> float | None:
        """Hand to dbt what is due, and return in how many seconds more will be; none where nothing waits.

        Raises:
            LandingError: It cannot be handed over, and is kept.
        """
        ...

    def undo(self, remove: Events) -> int:
        """Finish taking back what was refused and could not be taken back at once. Returns the number of files.

        Args:
            remove: Gets the refused events that were not taken in since.

        Raises:
            LandingError: It is left until the next time.
        """
        ...

    def take_over(self, store: Events) -> int:
        """Bring to an end what processes that died have left, and return the number of files.

        Args:
            store: Gets the events that turn out to be taken in, to store them for look-ups.

        Raises:
            LandingError: It is left until the next time.
        """
        ...

    def seconds_behind(self) -> float | None:
        """How far dbt is behind what was landed, in seconds; None if that is not known."""
        ...

    def close(self) -> None:
        """Hand over what was landed last, and give back what is held open.

        Raises:
            LandingError: It cannot be handed over; the next process takes it over.
        """
        ...


def digest(line: str) -> bytes:
    """A digest of the content of an event."""
    return hashlib.blake2b(line.encode(), digest_size=16).digest()


def digest_of(event: Event) -> bytes:
    """The digest of an event's line, also where only its beginning was kept."""
    return event.digest if isinstance(event, ShortenedEvent) else digest(event.line)


def new_name() -> str:
    """A name that no landed file has yet, without its ending. It begins with the time in UTC, by which files are
    ordered."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}"


def folder_of(name: str) -> str:
    """The folder of a landed file, ``day=<its day>``."""
    return f"day={datetime.strptime(name[:8], '%Y%m%d').date()}"


def record(event: Event, position: int) -> bytes:
    """An event as a line of a landed file.

    Args:
        event: The event.
        position: Its place in the file, from 1 on.
    """
    row = {"event_id": event.event_id, "landing_position": position, "line": event.line}
    if isinstance(event, ShortenedEvent):
        row |= {"digest": event.digest.hex(), "reason": event.reason, "detail": event.detail}
    return json.dumps(row).encode() + b"\n"


def events_of(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of the lines of a landed or merged file, up to the first that was not written whole."""
    for text in lines:
        if not text.endswith(b"\n"):
            return
        try:
            row = json.loads(text)
            event = Event(row["event_id"], row["line"])
            if "reason" in row:
                verdict = (bytes.fromhex(row["digest"]), row["reason"], row["detail"])
                event = ShortenedEvent(event.event_id, event.line, *verdict)
        except (ValueError, KeyError, TypeError):
            return
        yield event

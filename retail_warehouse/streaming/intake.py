"""Takes in events: it judges them, lands them and stores them for look-ups, and only then answers."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from retail_warehouse.serving.store import Line, ServingStore, StoreError, place_of, taken_by
from retail_warehouse.streaming.landing import InDoubt, Known, Landing, LandingError, Undecided, digest
from retail_warehouse.streaming.rules import Event, Rejection, Rules, RulesError, ShortenedEvent

# What waits for the writer; more is refused, so that nobody waits for long and memory is bounded.
MOST_WAITING_EVENTS = 50_000
MOST_WAITING_BYTES = 48 << 20
# Taken in together, with one wait for the disk.
_BATCH_EVENTS = 5_000
_BATCH_BYTES = 4 << 20  # beyond a single request
MOST_KEPT = 1_000  # characters of a rejected line, as many as `audit.rejected_rows` shows
_RECORD_BYTES = 300  # of an event on the disk, besides its line: its names, and its place in the index
_EVENT_BYTES = 300  # of an event in memory, besides its line
_TAKE_OVER_SECONDS = 10.0
_UNDO_SECONDS = 1.0
_CONTRADICTION = Rejection("duplicate_key", "event_id was received before with another content")
_IN_A_FILE = Rejection("duplicate_key", "the line of this event_id stands in a file, with another content")


class IntakeFull(Exception):
    """Too many events are waiting, so no more are taken."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event.

    Args:
        event_id: As it was sent.
        status: ``accepted``, ``duplicate`` or ``rejected``.
        rejection: Why it was rejected.
        kept_bytes: What a rejected event takes on the disk, if it was kept now.
    """

    event_id: str
    status: str
    rejection: Rejection | None = None
    kept_bytes: int = 0


class Intake:
    """A single writer thread. It takes in the events of several requests with one wait for the landing.

    Attributes:
        landing_identity: What tells the landing from others.
    """

    def __init__(
        self,
        rules: Rules,
        store: ServingStore,
        landing: Landing,
        tell: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Take over what was left in a landing.

        Args:
            rules: Judges the events.
            store: Gets the accepted lines.
            landing: Where events are landed for dbt; :meth:`close` closes it.
            tell: Gets a message where the landing or the store fails while nobody waits for it.

        Raises:
            LandingError: The landing cannot be read or written.
            StoreError: The store cannot.
        """
        self._rules = rules
        self._store = store
        self._tell = tell
        self._landing = landing
        self.landing_identity = self._landing.identity
        # What was refused, and may be found by look-ups until it is removed from the store: keys of `Line`.
        self._doubted: dict[str, Line] = {}
        self._landing.undo(self._remove)
        self._landing.take_over(self._store_again)
        self._queue: queue.Queue[tuple[Sequence[Event], Future] | None] = queue.Queue()
        self._waiting = self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._writer = threading.Thread(target=self._write, name="intake", daemon=True)
        self._writer.start()

    def take(self, events: Sequence[Event]) -> "Future[list[Verdict]]":
        """Take in events. The result comes once they are landed. If it is a LandingError, StoreError or RulesError,
        none of them was taken; if it is InDoubt, that is not known yet.

        Raises:
            IntakeFull: Too many wait already.
        """
        future: Future[list[Verdict]] = Future()
        size = _size(events)
        with self._lock:
            if self._waiting and (
                self._waiting + len(events) > MOST_WAITING_EVENTS or self._waiting_bytes + size > MOST_WAITING_BYTES
            ):
                raise IntakeFull
            self._waiting += len(events)
            self._waiting_bytes += size
        self._queue.put((events, future))
        return future

    def seconds_behind(self) -> float | None:
        """How far dbt is behind what was landed, in seconds; None if that is not known."""
        return self._landing.seconds_behind()

    def may_hold_refused(self, **key: str) -> bool:
        """Whether the store may still hold lines that were refused, since they could not be removed yet.

        Args:
            key: Fields of :class:`Line`, with the values that are looked up.
        """
        return any(
            all(getattr(line, name) == text for name, text in key.items()) for line in list(self._doubted.values())
        )

    def close(self, seconds: float | None = None) -> None:
        """Take in what waits, hand the last file to dbt and stop.

        Args:
            seconds: How long it may take; what waits by then is given up, and nobody is told that it was taken.

        Raises:
            LandingError: The last file cannot be moved; the next process takes it over.
        """
        self._queue.put(None)
        self._writer.join(seconds)
        if self._writer.is_alive():
            raise LandingError(
                f"What was landed last is left in {self._landing.name}, and the next API takes it over: the landing or "
                "the serving store does not answer."
            )
        self._landing.close()

    def _write(self) -> None:
        next_take_over = time.monotonic() + _TAKE_OVER_SECONDS
        next_undo = 0.0
        wait = None
        while True:
            requests = []
            try:
                next_work = (min(next_take_over, next_undo) if self._doubted else next_take_over) - time.monotonic()
                first = self._queue.get(timeout=max(0.01, next_work if wait is None else min(wait, next_work)))
                if first is None:
                    return
                requests.append(first)
                count, size = len(first[0]), _size(first[0])
                while count < _BATCH_EVENTS and size < _BATCH_BYTES:
                    more = self._queue.get_nowait()
                    if more is None:
                        self._queue.put(None)
                        break
                    requests.append(more)
                    count += len(more[0])
                    size += _size(more[0])
            except queue.Empty:
                pass
            if requests:
                self._take_in(requests)
            wait = self._tidy(self._landing.hand_over)
            if time.monotonic() >= (next_undo if self._doubted else next_take_over):
                self._tidy(lambda: self._landing.undo(self._remove))
                next_undo = time.monotonic() + _UNDO_SECONDS
            if time.monotonic() >= next_take_over:
                self._tidy(lambda: self._landing.take_over(self._store_again))
                next_take_over = time.monotonic() + _TAKE_OVER_SECONDS

    def _tidy(self, work: Callable) -> float | None:
        try:
            return work()
        except (LandingError, InDoubt, StoreError, RulesError) as error:
            self._tell(str(error))
        except Exception as error:  # the writer must go on; the text may quote rows
            self._tell(f"{type(error).__name__} while files were handed over.")
        return 1.0

    def _take_in(self, requests: list[tuple[Sequence[Event], Future]]) -> None:
        # Events of a caller that gave up waiting are taken in too; there is nobody to answer.
        waiting = {id(future): future.set_running_or_notify_cancel() for _, future in requests}
        count = sum(len(events) for events, _ in requests)
        size = sum(_size(events) for events, _ in requests)
        try:
            in_files = self._in_files([event for events, _ in requests for event in events])
            undecided = {event for event, verdict in in_files.items() if verdict is None}
            why: Exception = StoreError("A file of these rows is being published, or that was cut off.")
            while True:
                for events, future in requests if undecided else ():
                    if waiting[id(future)] and not undecided.isdisjoint(events):
                        future.set_exception(why)
                requests = [(events, future) for events, future in requests if undecided.isdisjoint(events)]
                try:
                    verdicts = self._verdicts([event for events, _ in requests for event in events], in_files)
                    break
                except Undecided as found:
                    why = found
                    undecided = {one for events, _ in requests for one in events if one.event_id in found.event_ids}
        except Exception as error:  # every caller that waits must get an answer
            for _, future in requests:
                if waiting[id(future)] and not future.done():
                    future.set_exception(error)
        else:
            place = 0
            for events, future in requests:
                if waiting[id(future)]:
                    future.set_result(verdicts[place : place + len(events)])
                place += len(events)
        finally:
            with self._lock:
                self._waiting -= count
                self._waiting_bytes -= size

    def _in_files(self, events: Sequence[Event]) -> dict[Event, Verdict | None]:
        """What becomes of events whose place a row of a file has that was loaded in bulk; none where the lines of the
        file are not known yet."""
        deliveries = self._store.deliveries({place_of(event.event_id)[0] for event in events})
        if not deliveries:
            return {}
        taken = taken_by(deliveries)
        found = list(dict.fromkeys(event for event in events if taken(event.event_id)))
        # Each content is judged under its own name: any of them may be the one in the file.
        judged = self._rules.judge([Event(f"file:{number}", event.line) for number, event in enumerate(found, 2)])
        rows = {}
        for number, event in enumerate(found, 2):
            name, row_number = place_of(event.event_id)
            line = judged[f"file:{number}"]
            row_id = f"{deliveries[name].file_name}:{row_number}"
            rows[event] = replace(line, invoice_line_id=row_id) if isinstance(line, Line) else line
        there = self._store.holds(row for row in rows.values() if isinstance(row, Line))
        verdicts: dict[Event, Verdict | None] = {}
        for event, row in rows.items():
            event_id = event.event_id
            if isinstance(row, Rejection):
                verdicts[event] = Verdict(event_id, "rejected", row)
            elif row in there:
                verdicts[event] = Verdict(event_id, "duplicate")
            else:
                is_known = deliveries[place_of(event_id)[0]].fingerprint
                verdicts[event] = Verdict(event_id, "rejected", _IN_A_FILE) if is_known else None
        return verdicts

    def _verdicts(self, events: Sequence[Event], in_files: Mapping[Event, Verdict | None]) -> list[Verdict]:
        first: dict[str, Event] = {}
        for event in events:
            if event not in in_files:
                first.setdefault(event.event_id, event)
        if not first:
            return [in_files[event] for event in events]
        # Before they are landed, since other processes may wait while that is done.
        judged = self._judged(events, first, in_files)
        known = self._land(first, judged)
        verdicts: list[Verdict] = []
        told: set[str] = set()
        for event in events:
            if event in in_files:
                verdicts.append(in_files[event])
                continue
            event_id = event.event_id
            before = known.get(event_id)
            same = digest(event.line) == (before.digest if before else digest(first[event_id].line))
            judgement = judged[event]
            if not same:
                verdicts.append(Verdict(event_id, "rejected", _CONTRADICTION))
            elif isinstance(judgement, Rejection):
                is_new = not before and event_id not in told
                size = min(len(event.line), MOST_KEPT) + _RECORD_BYTES if is_new else 0
                verdicts.append(Verdict(event_id, "rejected", judgement, size))
            else:
                verdicts.append(Verdict(event_id, "duplicate" if before or event_id in told else "accepted"))
            told.add(event_id)
        return verdicts

    def _judged(
        self, events: Sequence[Event], first: Mapping[str, Event], others: Collection[Event]
    ) -> dict[Event, Line | Rejection]:
        """The verdicts on the first event of each id, and on those that contradict it: one of them may be what was
        received before, and the first what contradicts it."""
        by_id = self._rules.judge(list(first.values()))
        judged = {event: by_id[event_id] for event_id, event in first.items()}
        late = list(dict.fromkeys(event for event in events if event not in judged and event not in others))
        if late:
            # Each under its own name, since an id must not repeat.
            named = self._rules.judge([Event(f"late:{number}", event.line) for number, event in enumerate(late, 2)])
            judged |= {event: named[f"late:{number}"] for number, event in enumerate(late, 2)}
        return judged

    def _land(self, first: Mapping[str, Event], judged: Mapping[Event, Line | Rejection]) -> Mapping[str, Known]:
        """Land the events, store those that are accepted, and return those that were received before."""
        lines: dict[str, Line] = {
            event_id: line for event_id, event in first.items() if isinstance(line := judged[event], Line)
        }

        def lines_of(landed: Sequence[Event]) -> list[Line]:
            return [lines[event.event_id] for event in landed if event.event_id in lines]

        known = self._landing.take_in(
            [_kept(event, judged[event]) for event in first.values()],
            lambda landed: self._store.put(lines_of(landed), streamed=True),
            lambda refused: self._take_back(lines_of(refused)),
        )
        for event_id in lines if self._doubted else ():
            if event_id not in known:
                self._doubted.pop(event_id, None)
        return known

    def _take_back(self, lines: Sequence[Line]) -> None:
        """Remove lines from the store that were refused after all."""
        if not lines:
            return
        self._doubted |= {line.invoice_line_id: line for line in lines}
        self._store.remove(lines)
        for line in lines:
            self._doubted.pop(line.invoice_line_id, None)

    def _remove(self, events: Sequence[Event]) -> None:
        events = [event for event in events if not isinstance(event, ShortenedEvent)]
        if events:
            self._take_back([line for line in self._rules.judge(events).values() if isinstance(line, Line)])

    def _store_again(self, events: Sequence[Event]) -> None:
        events = [event for event in events if not isinstance(event, ShortenedEvent)]
        if events:
            lines = [line for line in self._rules.judge(events).values() if isinstance(line, Line)]
            self._store.put(lines, streamed=True)


def _kept(event: Event, judgement: Line | Rejection) -> Event:
    """What is landed of an event: of a long line that was rejected, its beginning and the verdict."""
    if isinstance(judgement, Line) or len(event.line) <= MOST_KEPT:
        return event
    return ShortenedEvent(
        event.event_id, event.line[:MOST_KEPT], digest(event.line), judgement.reason, judgement.detail
    )


def _size(events: Sequence[Event]) -> int:
    """Bytes that events take in memory."""
    return sum(sys.getsizeof(event.line) for event in events) + _EVENT_BYTES * len(events)

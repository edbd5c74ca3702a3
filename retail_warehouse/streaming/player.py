"""The player: it sends the rows of a file one request after another, like a shop's till."""

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import duckdb
import requests
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from retail_warehouse import raw_files
from retail_warehouse.errors import DataError
from retail_warehouse.project import artifacts, dbt_succeeds, require_project_folder
from retail_warehouse.streaming.landing import LandingError, digest
from retail_warehouse.streaming.landing_folder import LandingFolder, make_private
from retail_warehouse.streaming.rows import COLUMNS, MOST_CHARACTERS, Row
from retail_warehouse.streaming.rules import Event

_VIEW_COLUMNS = "invoice_no, stock_code, description, quantity, invoiced_at, unit_price, customer_id, country"
_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 30.0  # seconds
_TIMEOUT = (5, 60)  # seconds to connect, and for an answer


@dataclass
class Progress:
    """What became of the rows that were sent.

    Args:
        accepted: Rows that were new.
        duplicate: Rows that had been accepted before.
        rejected: Rows that cannot be accepted.
        reasons: Rejected rows by reason.
    """

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """All rows with an answer."""
        return self.accepted + self.duplicate + self.rejected


class Target(Protocol):
    """Where rows are sent to.

    Attributes:
        requests_at_a_time: How many requests it takes at a time.
    """

    requests_at_a_time: int

    def identity(self) -> str:
        """Identifies the target, whatever its address; asked for until there is an answer.

        Raises:
            DataError: It will never be.
        """
        ...

    def stop(self) -> None:
        """Stop repeating requests."""
        ...

    def send(self, rows: list[dict]) -> Progress:
        """Send rows, and repeat the request until they are taken.

        Raises:
            DataError: They will never be taken.
        """
        ...


@contextlib.contextmanager
def rows_of(file: Path, after: int = 0) -> Iterator[tuple[int, Iterator[dict]]]:
    """The number of rows of an Online Retail file, and the rows in order, in the form that the API takes. The project's
    own SQL reads them.

    Args:
        file: ``*.csv`` or ``*.csv.gz``.
        after: Number of the row in the file after which to begin.

    Raises:
        DataError: It cannot be read; dbt has told why.
    """
    check(file)
    require_project_folder()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        folder.mkdir()
        (folder / file.name).symlink_to(file.resolve())
        warehouse = Path(scratch) / "warehouse.duckdb"
        _open_raw_views(folder, warehouse)
        if not warehouse.is_file():
            raise DataError(f"{file} cannot be read.")
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            connection.execute(
                "create temp table rows as "
                f"select file_name || ':' || row_number, raw_record, malformed_reason, {_VIEW_COLUMNS} "
                "from raw_online_retail.invoice_lines where row_number > $1",
                [after],
            )
            [(count,)] = connection.execute("select count(*) from rows").fetchall()
            yield count, _as_rows(connection.execute("from rows"))


def _open_raw_views(folder: Path, warehouse: Path) -> None:
    """Create a warehouse with only the raw views of a folder. If dbt fails, it has printed why, and there is no
    file."""
    with artifacts("player") as target:
        # The same name each time, or dbt would parse the project again. Then it is moved away.
        made = target / warehouse.name
        made.unlink(missing_ok=True)
        environment = {**os.environ, "WAREHOUSE_PATH": str(made), "ONLINE_RETAIL_DATA": str(folder)}
        environment.pop("ONLINE_RETAIL_LANDING", None)
        operation = ["run-operation", "open_raw_views", "--args", "{source_name: online_retail}"]
        if dbt_succeeds(operation, target, environment) and made.is_file():
            shutil.move(made, warehouse)


def check(file: Path) -> None:
    """Check that a file can be streamed.

    Args:
        file: ``*.csv`` or ``*.csv.gz``.

    Raises:
        DataError: It is missing, its name cannot be a delivery's, or it has more columns than Online Retail.
    """
    if not file.is_file():
        raise DataError(f"There is no file {file}.")
    if not file.name.lower().endswith((".csv", ".csv.gz")):
        raise DataError(f"The name of {file} does not end in .csv or .csv.gz. Rename it.")
    if not file.name.isprintable():
        raise DataError(
            f"The name of {str(file)!r} holds a control character. Rename it: it is the name of the delivery."
        )
    try:
        header = raw_files.look(str(file)).header or []
    except raw_files.FileProblem as problem:
        raise DataError(f"File {file} {problem}.") from problem
    if len(header) > len(COLUMNS):
        raise DataError(
            f"{file}, line 1: the header has {len(header)} columns, {', '.join(header)}. A stream takes the "
            f"{len(COLUMNS)} of Online Retail, {', '.join(COLUMNS)}; remove the others."
        )


def _as_rows(found: duckdb.DuckDBPyConnection) -> Iterator[dict]:
    while some := found.fetchmany(10_000):
        for event_id, record, malformed_reason, *values in some:
            columns = dict(zip(COLUMNS, values, strict=True))
            # Where it is not the same, as with needless quotes, the line itself is sent.
            if malformed_reason is None and (
                len(record) > MOST_CHARACTERS
                or Row.model_construct(event_id=event_id, **columns).event().line == record
            ):
                yield {"event_id": event_id, **columns}
            elif len(record) > MOST_CHARACTERS:
                raise DataError(
                    f"The line {event_id} cannot be split into columns, and has {len(record):,} characters, more than "
                    f"the {MOST_CHARACTERS:,} that can be sent as they stand. Correct it, or remove it."
                )
            else:
                yield {"event_id": event_id, "raw_record": record}


class ApiTarget:
    """Sends rows to an API. While it does not answer, requests are repeated for as long as it takes."""

    requests_at_a_time = 2

    def __init__(self, url: str, token: str, tell: Callable[[str], None] = lambda message: None) -> None:
        """Send nothing yet.

        Args:
            url: Address of the API, such as ``http://127.0.0.1:8000``.
            token: With the scope to write.
            tell: Gets a message where rows have to be sent again.
        """
        self._address = url.rstrip("/")
        self._url = self._address + "/transactions"
        self._token = token
        self._tell = tell
        self._of_thread = threading.local()
        self._stopped = threading.Event()

    def identity(self) -> str:
        """See :class:`Target`."""
        return self._persist(lambda session: session.get(self._address + "/ready", timeout=_TIMEOUT))["landing"]

    def stop(self) -> None:
        """See :class:`Target`."""
        self._stopped.set()

    def _session(self) -> requests.Session:
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = requests.Session()
            self._of_thread.session.headers["Authorization"] = f"Bearer {self._token}"
        return self._of_thread.session

    def send(self, rows: list[dict]) -> Progress:
        """See :class:`Target`."""
        return _progress(self._persist(lambda session: session.post(self._url, json=rows, timeout=_TIMEOUT))["rows"])

    def _persist(self, ask: Callable[[requests.Session], requests.Response]) -> dict:
        again = Retrying(
            retry=retry_if_exception_type(_Again),
            wait=wait_random_exponential(_FIRST_PAUSE, _LONGEST_PAUSE),
            sleep=sleep_using_event(self._stopped),
            stop=stop_when_event_set(self._stopped),
            before_sleep=lambda state: self._tell(
                f"{self._url}: {state.outcome.exception()}; again in {state.next_action.sleep:.1f} s"
            ),
        )
        try:
            return again(self._answer, ask)
        except RetryError as error:
            raise DataError(f"Stopped before {self._url} has taken all rows.") from error

    def _answer(self, ask: Callable[[requests.Session], requests.Response]) -> dict:
        try:
            answer = ask(self._session())
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Again(type(error).__name__) from error
        except requests.RequestException as error:
            raise DataError(f"{self._address} cannot be reached: {error}") from error
        if answer.status_code == 200:
            return answer.json()
        if answer.status_code == 401:
            raise DataError(
                f"{self._url} does not take the rows: 401, the token is not valid (any more). Set "
                "RETAIL_WAREHOUSE_TOKEN to a new one and run this again; it resumes."
            )
        if answer.status_code in (400, 403, 404, 405, 413, 415, 422):
            raise DataError(f"{self._url} does not take the rows: {answer.status_code} {answer.text[:1000]}")
        raise _Again(f"{answer.status_code}")


class _Again(Exception):
    """Why a request is sent again."""


class FolderTarget:
    """Writes rows to a landing folder without an API. dbt judges them."""

    requests_at_a_time = 1

    def __init__(self, folder: Path) -> None:
        """Open it.

        Raises:
            DataError: It cannot be written.
        """
        try:
            self._landing = LandingFolder(folder, 16 << 20, 2.0)
        except LandingError as error:
            raise DataError(str(error)) from error

    def send(self, rows: list[dict]) -> Progress:
        """See :class:`Target`."""
        events = {}
        for row in rows:
            line = row["raw_record"] if "raw_record" in row else Row(**row).event().line
            events.setdefault(row["event_id"], Event(row["event_id"], line))
        try:
            known = self._landing.take_in(list(events.values()), lambda new: None, lambda refused: None)
            self._landing.hand_over()
        except LandingError as error:
            raise DataError(str(error)) from error
        other = [event for event in events.values() if event.event_id in known]
        contradictions = sum(digest(event.line) != known[event.event_id].digest for event in other)
        landed = len(events) - len(known)
        progress = Progress(landed, len(rows) - landed - contradictions, contradictions)
        if contradictions:
            progress.reasons["duplicate_key"] = contradictions
        return progress

    def identity(self) -> str:
        """See :class:`Target`."""
        return self._landing.identity

    def stop(self) -> None:
        """See :class:`Target`."""

    def close(self) -> None:
        """Hand what was written to dbt."""
        self._landing.close()


def _progress(rows: list[dict]) -> Progress:
    progress = Progress()
    for row in rows:
        setattr(progress, row["status"], getattr(progress, row["status"]) + 1)
        if row["reason"]:
            progress.reasons[row["reason"]] = progress.reasons.get(row["reason"], 0) + 1
    return progress


def play(
    rows: Iterable[dict],
    target: Target,
    rate: float,
    batch: int,
    after: Callable[[list[dict], Progress], None],
) -> Progress:
    """Send rows in their order, a few requests at a time.

    Args:
        rows: As the API takes them.
        target: Gets them.
        rate: Rows per second, or 0 for as many as are taken.
        batch: Rows per request.
        after: Called, in the order of the rows, when a request and all before it are answered; gets its rows and their
            results.

    Raises:
        DataError: The API refuses some rows for good. All rows before them were taken.
    """
    total = Progress()
    start = time.monotonic()
    asked = 0
    source = iter(rows)
    waiting: deque[tuple[list[dict], Future[Progress]]] = deque()

    def answered() -> None:
        part, future = waiting.popleft()
        progress = future.result()
        total.accepted += progress.accepted
        total.duplicate += progress.duplicate
        total.rejected += progress.rejected
        for reason, count in progress.reasons.items():
            total.reasons[reason] = total.reasons.get(reason, 0) + count
        after(part, progress)

    at_a_time = target.requests_at_a_time
    with ThreadPoolExecutor(at_a_time) as pool, _stopping(target):
        while part := list(islice(source, batch)):
            if rate:
                time.sleep(max(0.0, start + asked / rate - time.monotonic()))
            asked += len(part)
            waiting.append((part, pool.submit(target.send, part)))
            if len(waiting) >= at_a_time:
                answered()
        while waiting:
            answered()
    return total


@contextlib.contextmanager
def _stopping(target: Target) -> Iterator[None]:
    # Otherwise repeated requests would keep the program from ending.
    try:
        yield
    except BaseException:
        target.stop()
        raise


class Bookmark:
    """Remembers how far a file was sent to a target, so that the next run continues there."""

    def __init__(self, folder: Path, file: Path, to: str) -> None:
        """Look for the bookmark.

        Args:
            folder: Where bookmarks are kept; made if missing.
            file: The file that is played.
            to: Identity of the target.
        """
        known = file.stat()
        self._key = {"file": str(file.resolve()), "bytes": known.st_size, "changed": known.st_mtime_ns, "to": to}
        name = digest(json.dumps([self._key["file"], to])).hex()
        self._path = folder / f"played-{name}.json"
        self.row_number = 0
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["key"] == self._key:
                self.row_number = int(found["row_number"])

    def set(self, row_number: int) -> None:
        """Remember the last row that was answered.

        Raises:
            OSError: It cannot be written.
        """
        self.row_number = row_number
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path.with_suffix(".new")
        make_private(new)
        new.write_text(json.dumps({"key": self._key, "row_number": row_number}), encoding="utf-8")
        new.replace(self._path)

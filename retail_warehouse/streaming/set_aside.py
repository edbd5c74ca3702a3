"""Sets aside landed rows that dbt cannot build, so that they do not block the rows of others.

A landed file in which such a row stands is replaced by one without it. The rows of an invoice go together: the marts
are built by invoice, and it is a sum over its rows that may not fit. They wait in ``.set_aside`` of the landing folder,
are listed in ``audit.set_aside_lines``, and are landed again once they can be built.
"""

import contextlib
import csv
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from retail_warehouse.streaming.landing_folder import (
    SET_ASIDE,
    handed_over,
    make_private,
    set_aside_files,
    sync,
    sync_folder,
)

# Of the warehouse, not of its rows: the same rows can be built another time.
_OF_THE_WAREHOUSE = re.compile(r"lock|IO Error|memory|disk|No space|Catalog|cannot be opened", re.IGNORECASE)
_TABLE = """
create table if not exists audit.set_aside_lines (
    landing_file varchar not null,  -- where it waits, below the landing folder
    event_id varchar not null,
    raw_record varchar not null,  -- its first 1,000 characters
    problem varchar not null,  -- why it cannot be built
    set_aside_at timestamp not null
)
"""

Builds = Callable[[Sequence[Path]], str]


class NotTried(Exception):
    """Rows could not be tried: the warehouse cannot be copied, or dbt failed for reasons that are not in the rows."""


@dataclass(frozen=True, slots=True)
class _Row:
    event_id: str
    line: str
    record: bytes

    @property
    def invoice(self) -> str:
        with contextlib.suppress(csv.Error, StopIteration, IndexError):
            return next(csv.reader([self.line]))[0].strip().upper()
        return self.line


def is_caused_by_rows(problem: str) -> bool:
    """Whether an error of dbt may be caused by rows, and not by the state of the warehouse."""
    return bool(problem) and not _OF_THE_WAREHOUSE.search(problem)


class SetAside:
    """The rows of a landing folder that are set aside. Only one process at a time may use it."""

    def __init__(self, landing: Path, builds: Builds) -> None:
        """Look at nothing yet.

        Args:
            landing: The landing folder.
            builds: Adds landed files to a copy of the warehouse, and returns what is wrong, or nothing. Raises
                NotTried.
        """
        self._landing = landing
        self._builds = builds

    def files(self) -> list[Path]:
        """The files with rows that are set aside."""
        return set_aside_files(self._landing)

    def separate(self, pending: Iterable[str]) -> int:
        """Find the rows in landed files that cannot be built, set them aside, and return their number.

        A row may fit by itself, and not beside others. So all that was found to be built so far is built with what is
        tried: first the files together, then halves of them, then halves of the invoices of one file.

        Args:
            pending: The files that are not in the warehouse yet, as paths below the landing folder.

        Raises:
            NotTried: The rows could not be tried; none, or not all, are set aside.
        """
        if self._builds([]):
            return 0  # it fails without them
        return self._separate([self._landing / name for name in pending], [])

    def _separate(self, files: list[Path], built: list[Path]) -> int:
        """Like separate; adds to ``built`` what can be built beside it."""
        if not files:
            return 0
        if not self._builds([*built, *files]):
            built += files
            return 0
        if len(files) > 1:
            middle = len(files) // 2
            return self._separate(files[:middle], built) + self._separate(files[middle:], built)
        return self._separate_file(files[0], built)

    def _separate_file(self, path: Path, built: list[Path]) -> int:
        rows = list(_rows(path))
        good: set[str] = set()
        bad = set(self._bad(rows, list(dict.fromkeys(row.invoice for row in rows)), good, built))
        if not bad:
            built.append(path)
            return 0
        waiting = [row for row in rows if row.invoice in bad]
        rest = [row for row in rows if row.invoice not in bad]
        # After each step every row is in at least one file. A row that is in two counts once.
        _write(self._landing / SET_ASIDE / f"{path.parent.name}_{path.stem}.rows", waiting)
        if rest:
            _write(path.with_name(f"{path.stem}-rest.ndjson"), rest)
            built.append(path.with_name(f"{path.stem}-rest.ndjson"))
        path.unlink()
        sync_folder(path.parent)
        return len(waiting)

    def _bad(
        self, rows: Sequence[_Row], invoices: Sequence[str], good: set[str], built: Sequence[Path]
    ) -> Iterator[str]:
        """The invoices, of those given, that cannot be built beside the good ones, to which it adds the others."""
        wanted = good | set(invoices)
        if not self._problem_of([row for row in rows if row.invoice in wanted], built):
            good.update(invoices)
            return
        if len(invoices) == 1:
            yield invoices[0]
            return
        middle = len(invoices) // 2
        yield from self._bad(rows, invoices[:middle], good, built)
        yield from self._bad(rows, invoices[middle:], good, built)

    def _problem_of(self, rows: Sequence[_Row], built: Sequence[Path] = ()) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            part = Path(scratch) / "part.ndjson"
            _write(part, rows)
            return self._builds([*built, part])

    def try_again(self) -> int:
        """Land the rows again that can be built now, and return their number.

        Raises:
            NotTried: They could not be tried.
        """
        count = 0
        for path in self.files():
            rows = list(_rows(path))
            if not self._problem_of(rows):
                day, _, name = path.stem.partition("_")
                folder = self._landing / day
                folder.mkdir(exist_ok=True, mode=0o700)
                _write(folder / f"{name}-again-{datetime.now(UTC):%H%M%S%f}.ndjson", rows)
                path.unlink()
                count += len(rows)
        return count

    def enter(self, warehouse: Path, problem: str) -> None:
        """List the rows that are set aside in ``audit.set_aside_lines``. If another program holds the warehouse, the
        next call does it.

        Args:
            warehouse: The DuckDB file.
            problem: What dbt told of rows that are new there.
        """
        with contextlib.suppress(duckdb.Error), duckdb.connect(str(warehouse)) as connection:
            connection.execute(_TABLE)
            known = {
                name for (name,) in connection.execute("select landing_file from audit.set_aside_lines").fetchall()
            }
            names = {path.relative_to(self._landing).as_posix(): path for path in self.files()}
            connection.execute("begin")
            for name in known - names.keys():
                connection.execute("delete from audit.set_aside_lines where landing_file = ?", [name])
            now = datetime.now(UTC).replace(tzinfo=None)
            for name in names.keys() - known:
                connection.executemany(
                    "insert into audit.set_aside_lines values (?, ?, ?, ?, ?)",
                    [[name, row.event_id, row.line[:1_000], problem[:1_000], now] for row in _rows(names[name])],
                )
            connection.execute("commit")

    def count(self) -> int:
        """How many rows are set aside."""
        return sum(1 for path in self.files() for _ in _rows(path))


def _rows(path: Path) -> Iterator[_Row]:
    with path.open("rb") as file:
        for record in file:
            row = json.loads(record)
            yield _Row(row["event_id"], row["line"], record)


def _write(path: Path, rows: Iterable[_Row]) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    make_private(new)
    with new.open("wb") as file:
        for position, row in enumerate(rows, start=1):
            file.write(json.dumps(json.loads(row.record) | {"landing_position": position}).encode() + b"\n")
        file.flush()
        sync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def pending_files(landing: Path, warehouse: Path) -> list[str]:
    """The landed files that the marts do not hold yet, as paths below the landing folder."""
    processed: set[str] = set()
    with contextlib.suppress(duckdb.Error), duckdb.connect(str(warehouse), read_only=True) as connection:
        query = (
            "select file_name from audit.processed_files "
            "where table_name = 'streamed_lines' and model_name in ('invoice_lines', 'transactions', 'invoices') "
            "group by all having count(*) = 3"
        )
        processed = {name for (name,) in connection.execute(query).fetchall()}
    return [name for path in handed_over(landing) if (name := path.relative_to(landing).as_posix()) not in processed]

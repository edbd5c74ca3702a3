"""Where the API finds what was published of predictions: one whole generation at a time."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from retail_warehouse.serving.store import StoreError
from retail_warehouse.streaming.landing_folder import make_private

FORMAT = 1  # of the file
PART = 8 << 20  # bytes of the statistics that are written at once
_BATCH = 2_000  # users that are written at once


class PublishedError(Exception):
    """What was published cannot be used by this version of the program; the text says what is wrong."""


class Generation(Protocol):
    """Everything that was published at once. It does not change, and stays readable while a newer one takes its
    place."""

    def user(self, user_id: int) -> bytes | None:
        """What is predicted of a user, or none if there is no such user.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def statistics(self) -> bytes:
        """What is the same for all users.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def first_users(self, most: int) -> list[int]:
        """Some users, in ascending order.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def close(self) -> None:
        """Give back what it holds open."""
        ...


class PredictionsStore(Protocol):
    """Holds one generation of predictions and replaces it as a whole. Safe to use from several threads and processes.

    Attributes:
        is_local: Whether it answers from this machine, in less time than it takes to find a thread.
    """

    is_local: bool

    def mark(self) -> str | None:
        """Changes with the generation; none while nothing was published. Costs little.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def open(self) -> Generation | None:
        """The present generation; none while nothing was published.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def replace(self, statistics: bytes, users: Iterable[tuple[int, bytes]]) -> int:
        """Put another generation in place of the present one, and return the number of its users. Until it is written
        in full, everybody reads the present one; if it fails, that stays.

        Args:
            statistics: What is the same for all users.
            users: Each user once, with what is predicted.

        Raises:
            StoreError: The store cannot be written.
        """
        ...

    def close(self) -> None:
        """Give back what the store holds open."""
        ...


class SqlitePredictions:
    """A ``PredictionsStore`` in one SQLite file. Each generation is a file of its own, which takes the name of the one
    before at once, so that no reader can see half of both; who has the old one open reads on in it.

    Args:
        path: The file, on a local disk; made by ``replace``.
    """

    is_local = True

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path.absolute()

    def mark(self) -> str | None:
        """Changes with the generation; see :class:`PredictionsStore`."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"The predictions {self._path} cannot be read: {error.strerror}.") from error
        return f"{found.st_ino}-{found.st_mtime_ns}"

    def open(self) -> "SqliteGeneration | None":
        """The present generation; see :class:`PredictionsStore`."""
        return SqliteGeneration(self._path) if self.mark() else None

    def replace(self, statistics: bytes, users: Iterable[tuple[int, bytes]]) -> int:
        """Put another generation in place; see :class:`PredictionsStore`."""
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._remove_unfinished()
            make_private(new)  # what people buy is nobody else's business
            with _told(new):
                count = _write(new, statistics, users)
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(
                f"The predictions {self._path} cannot be written: {error.strerror}. Free space there, or name another "
                "file in SERVING_STORE. What was published before stays."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        return count

    def _remove_unfinished(self) -> None:
        """What publishers have left that were killed."""
        for path in self._path.parent.glob(f"{self._path.name}.*.new"):
            number = path.name.split(".")[-2]
            if not (number.isdecimal() and _runs(int(number))):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held open."""


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()


def _write(file: Path, statistics: bytes, users: Iterable[tuple[int, bytes]]) -> int:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        # Nobody reads the file before it is whole and synced.
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        connection.execute("pragma cache_size = -65536")
        connection.execute("create table users (user_id integer primary key not null, content blob not null)")
        connection.execute("create table statistics (part integer primary key not null, content blob not null)")
        connection.execute("begin")
        parts = (statistics[at : at + PART] for at in range(0, len(statistics), PART))
        connection.executemany("insert into statistics values (?, ?)", enumerate(parts))
        connection.executemany("insert into users values (?, ?)", users)
        connection.execute(f"pragma user_version = {FORMAT}")
        connection.execute("commit")
        [count] = connection.execute("select count(*) from users").fetchone()
    return count


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"The predictions {path}: {error}. Publish them again: retail-warehouse publish predictions"
        ) from error


class SqliteGeneration:
    """A ``Generation`` in a SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            StoreError: It is no file of predictions, or of another version.
        """
        self._path = path
        self._lock = threading.Lock()
        with _told(path):
            # The file never changes: no locks, no journal.
            address = f"{path.as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            [version] = self._connection.execute("pragma user_version").fetchone()
        if version != FORMAT:
            self._connection.close()
            raise StoreError(
                f"The predictions {path} have format {version}, and this version reads format {FORMAT}. Publish them "
                "again: retail-warehouse publish predictions"
            )

    def user(self, user_id: int) -> bytes | None:
        """What is predicted of a user; see :class:`Generation`."""
        found = self._rows("select content from users where user_id = ?", user_id)
        return found[0][0] if found else None

    def statistics(self) -> bytes:
        """What is the same for all users; see :class:`Generation`."""
        return b"".join(part for (part,) in self._rows("select content from statistics order by part"))

    def first_users(self, most: int) -> list[int]:
        """Some users; see :class:`Generation`."""
        return [user for (user,) in self._rows("select user_id from users order by user_id limit ?", most)]

    def count(self) -> int:
        """How many users there are.

        Raises:
            StoreError: The file cannot be read.
        """
        return self._rows("select count(*) from users")[0][0]

    def _rows(self, query: str, *values: int) -> list[tuple]:
        with self._lock, _told(self._path):
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

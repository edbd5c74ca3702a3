"""The landing of events: acknowledged lines as files that dbt reads, which survive a crash of the machine."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from retail_warehouse.streaming.lag import seconds_behind
from retail_warehouse.streaming.landing import (
    Events,
    InDoubt,
    Known,
    LandingError,
    digest_of,
    events_of,
    folder_of,
    new_name,
    record,
)
from retail_warehouse.streaming.rules import Event

_BUSY_SECONDS = 30.0
_VERSION = 1
_REFUSED = ".refused"
SET_ASIDE = ".set_aside"  # folder
_RESERVE = 2 << 20  # bytes that stay free, so that what has begun can be finished or taken back
_INDEX = """
    create table landing_files (landing_file_id integer primary key, name text not null unique);
    create table events (
        event_id text primary key, digest blob not null, landing_file_id integer not null
    ) without rowid;
"""


def handed_over(folder: Path) -> list[Path]:
    """The files of a landing folder that dbt reads, which never change any more, by their days and names."""
    return sorted(folder.glob("day=*/*.ndjson"))


def set_aside_files(folder: Path) -> list[Path]:
    """The files of a landing folder with rows that dbt cannot build (see ``set_aside.py``)."""
    return sorted(folder.glob(f"{SET_ASIDE}/*.rows"))


class LandingFolder:
    """A :class:`Landing` in a folder of this machine. It appends events to a file of its own below ``.open`` and moves
    it to ``day=.../`` when it is large or old enough, so that dbt never sees a file that grows. Several processes may
    land in one folder; what one leaves behind when it is killed, the next one to look takes over. Not safe to use from
    several threads at once.

    An index of all events, ``.index.sqlite``, tells which were received before. It is made anew from the files if it is
    missing.

    Attributes:
        folder: The folder.
        name: The same, for messages.
        identity: What tells this landing from others; it lasts as long as the index.
    """

    def __init__(self, folder: Path, seal_bytes: int, seal_seconds: float) -> None:
        """Open a landing folder.

        Args:
            folder: Made if missing.
            seal_bytes: Size from which on a file is moved to dbt.
            seal_seconds: Age from which on it is, counted from its first event.

        Raises:
            LandingError: The folder cannot be made or written.
        """
        self.folder = folder
        self.name = str(folder)
        self._seal_bytes = seal_bytes
        self._seal_seconds = seal_seconds
        self._open = folder / ".open"
        self._file_name: str | None = None
        self._file = -1
        self._size = self._position = 0
        self._began = 0.0
        self._is_open = False
        with self._errors():
            # What customers bought is nobody else's business.
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            self._open.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self.folder.parent)
            sync_folder(self.folder)
            self._index = self._open_index()
        self._is_open = True

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            advice = "Free space or give the right to write there."
            if self._is_open and not self.folder.exists():
                advice = "The folder is gone; bring it back and start again."
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                advice = "Stop what lands there and remove .index.sqlite; it is made anew."
            raise LandingError(f"Events cannot be landed in {self.folder}: {reason}. {advice}") from error

    # The index

    def _open_index(self) -> sqlite3.Connection:
        make_private(self.folder / ".index.sqlite")
        index = sqlite3.connect(
            self.folder / ".index.sqlite",
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        _write_ahead(index)
        # Acknowledged means acknowledged: a contradiction is seen after a power cut as well.
        index.execute("pragma synchronous = full")
        index.execute("pragma fullfsync = on")  # for macOS, see `sync`
        index.execute("begin immediate")
        [version] = index.execute("pragma user_version").fetchone()
        if version == 0:
            for statement in _INDEX.split(";"):
                index.execute(statement)
            index.execute(f"pragma user_version = {_VERSION}")
            for path in (*handed_over(self.folder), *set_aside_files(self.folder)):
                self._enter(index, path.stem, _read(path))
        # Whatever its address, by which a player knows where it left off.
        index.execute("create table if not exists landing (identity text not null)")
        index.execute("insert into landing select ? where not exists (select 1 from landing)", [secrets.token_hex(8)])
        [self.identity] = index.execute("select identity from landing").fetchone()
        index.execute("commit")
        return index

    @staticmethod
    def _enter(index: sqlite3.Connection, name: str, events: Iterable[Event]) -> None:
        index.execute("insert or ignore into landing_files (name) values (?)", [name])
        [(file_id,)] = index.execute("select landing_file_id from landing_files where name = ?", [name])
        index.executemany(
            "insert or ignore into events values (?, ?, ?)",
            ((event.event_id, digest_of(event), file_id) for event in events),
        )

    def known(self, event_ids: Sequence[str]) -> dict[str, Known]:
        """Those of some events that were received before, by their ids.

        Raises:
            LandingError: The index cannot be read.
        """
        with self._errors():
            rows = self._index.execute(
                "select event_id, digest, name from events join landing_files using (landing_file_id) "
                "where event_id in (select value from json_each(?))",
                [json.dumps(event_ids)],
            ).fetchall()
        return {event_id: Known(digest, name) for event_id, digest, name in rows}

    # The file that grows

    @contextlib.contextmanager
    def transaction(self, take_back: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Nobody else takes in events meanwhile, and an error takes back what was landed within: now or, if that fails
        too, later (see :meth:`undo`), but before anybody is told of the error.

        Args:
            take_back: Removes from elsewhere what was put there within, after an error.

        Raises:
            LandingError: The index cannot be locked or written.
            InDoubt: Nothing can be taken back, so that the events may be taken in later.
        """
        with self._errors():
            self._index.execute("begin immediate")
        size, position = self._size, self._position  # 0 where the file is yet to be begun
        try:
            yield
            with self._errors():
                self._index.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._index.execute("rollback")
            try:
                take_back()
            except Exception:  # whatever it is; the first error is the one to be told
                self._take_back_later(size)
            else:
                self._take_back(size, position)
            raise

    def _take_back_later(self, size: int) -> None:
        """Mark everything after a size of the file as refused. Needs no space on the disk."""
        if self._file < 0:
            return
        path = self._open / (self._file_name or "")
        try:
            path.rename(path.with_name(f"{path.name}.{size}{_REFUSED}"))
            sync_folder(self._open)
        except OSError as error:
            raise InDoubt(f"Refused events cannot be taken back in {self.folder}: {error.strerror}.") from error
        finally:
            self._let_go()

    def _take_back(self, size: int, position: int) -> None:
        if self._file >= 0 and self._size > size:
            try:
                os.ftruncate(self._file, size)
                os.fsync(self._file)
                self._size, self._position = size, position
            except OSError:
                self._take_back_later(size)

    def append(self, events: Sequence[Event]) -> None:
        """Land events for good, within a :meth:`transaction`.

        Raises:
            LandingError: They cannot be written; nothing of them stays.
        """
        with self._errors():
            if self._file < 0:
                self._start()
            text = b"".join(record(event, position) for position, event in enumerate(events, start=self._position + 1))
            # What is written elsewhere for it is about as large.
            if shutil.disk_usage(self._open).free < _RESERVE + 4 * len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Counted before it is written, so that a part of it is taken back too.
            start, self._size = self._size, self._size + len(text)
            self._position += len(events)
            written = 0
            while written < len(text):
                written += os.pwrite(self._file, text[written:], start + written)
            sync(self._file)
            self._enter(self._index, self._file_name or "", events)

    def _start(self) -> None:
        while True:
            name = new_name()
            file = os.open(self._open / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                # Held for as long as the process lives: whoever gets it finds a file that nobody writes any more.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                sync_folder(self._open)
                break
            except BlockingIOError:
                os.close(file)  # Somebody was faster, and removes it once this transaction ends.
            except OSError:
                os.close(file)
                raise
        self._file, self._file_name, self._size, self._position = file, name, 0, 0
        self._began = time.monotonic()

    def take_in(self, events: Sequence[Event], store: Events, take_back: Events) -> dict[str, Known]:
        """Land events, except those that were received before, and return these; see :class:`Landing`.

        Raises:
            LandingError: The folder cannot be written; none was taken.
            InDoubt: Nothing can be taken back, so that the events may be taken in later.
        """
        stored: list[Event] = []
        with self.transaction(lambda: take_back(stored)):
            known = self.known([event.event_id for event in events])
            new = [event for event in events if event.event_id not in known]
            if new:
                self.append(new)
                stored += new
                store(new)
        return known

    def hand_over(self, force: bool = False) -> float | None:
        """Hand the file to dbt if it is large or old enough, and return in how many seconds it will be; none where
        there is no file.

        Args:
            force: Hand it over in any case.

        Raises:
            LandingError: It cannot be moved, and is kept.
        """
        if self._file < 0 or self._file_name is None:
            return None
        age = time.monotonic() - self._began
        if not force and self._size < self._seal_bytes and age < self._seal_seconds:
            return self._seal_seconds - age
        with self._errors():
            path = self._open / self._file_name
            target = self._move(path, self._file_name) if self._size else path.unlink()
            # From here on it must not grow, whatever happens.
            self._let_go()
            if target:
                self._sync(target)
        return None

    def _let_go(self) -> None:
        file, self._file, self._file_name, self._size, self._position = self._file, -1, None, 0, 0
        os.close(file)

    def _move(self, path: Path, name: str) -> Path:
        target = self.folder / folder_of(name)
        target.mkdir(exist_ok=True, mode=0o700)
        path.rename(target / f"{name}.ndjson")
        return target

    def _sync(self, target: Path) -> None:
        sync_folder(target)
        sync_folder(self.folder)

    # What others left behind

    def undo(self, remove: Events) -> int:
        """Finish what could not be taken back at once, by whichever process. `remove` gets the refused events that were
        not taken in since. Returns the number of files.

        Raises:
            LandingError: A file cannot be read or moved, and is kept.
        """
        done = 0
        for path, file in self._left(_REFUSED):
            name, size = path.stem.rsplit(".", 1)
            with self.transaction():
                with self._errors():
                    events = list(_read(path))
                    kept = list(_read(path, int(size)))
                known = self.known([event.event_id for event in events])
                remove([event for event in events[len(kept) :] if event.event_id not in known])
                with self._errors():
                    self._enter(self._index, name, kept)
            with self._errors():
                os.ftruncate(file, int(size))
                os.fsync(file)
                if kept:
                    self._sync(self._move(path, name))
                else:
                    path.unlink()
            done += 1
        return done

    def _left(self, suffix: str) -> Iterator[tuple[Path, int]]:
        """Abandoned files in ``.open``, each with a descriptor, which stays locked until the next is asked for."""
        with self._errors():
            paths = sorted(self._open.iterdir())
        for path in paths:
            if path.name == self._file_name or path.suffix != suffix:
                continue
            with self._errors():
                try:
                    file = os.open(path, os.O_RDWR)
                except FileNotFoundError:
                    continue
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(file)
                    continue
            try:
                # Another process may have been faster.
                if path.exists():
                    yield path, file
            finally:
                os.close(file)

    def take_over(self, store: Events) -> int:
        """Hand over the files of processes that died, without events that they had not yet entered into the index
        while another process took them in. `store` gets the events of such a file, to store those that are accepted
        where they are looked up. Returns the number of files.

        Raises:
            LandingError: A file cannot be read or moved, and is kept.
        """
        taken = 0
        for path, _ in self._left(""):
            self._take_over(path, store)
            taken += 1
        return taken

    def _take_over(self, path: Path, store: Events) -> None:
        with self.transaction():
            with self._errors():
                found = list(_read(path))
            known = self.known([event.event_id for event in found])
            kept = [
                event
                for event in found
                if event.event_id not in known or known[event.event_id].landing_file == path.name
            ]
            store(kept)
            with self._errors():
                self._enter(self._index, path.name, kept)
        # Once the index knows them, nobody else takes them in: what dbt sees from here on is not taken back.
        with self._errors():
            if kept:
                whole = path.with_suffix(".whole")
                make_private(whole)
                with whole.open("wb") as file:
                    file.writelines(record(event, position) for position, event in enumerate(kept, start=1))
                    file.flush()
                    os.fsync(file.fileno())
                self._sync(self._move(whole, path.name))
            path.unlink()

    def seconds_behind(self) -> float | None:
        """How far dbt is behind what was landed, in seconds; see :class:`Landing`."""
        return seconds_behind(self.folder)

    def close(self) -> None:
        """Hand over what was landed and give back what is held open.

        Raises:
            LandingError: The last file cannot be moved; the next process takes it over.
        """
        try:
            self.hand_over(force=True)
        finally:
            self._index.close()
            if self._file >= 0:
                self._let_go()


def make_private(path: Path) -> None:
    """Make a file if it is missing, and let only its owner read and write it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def sync(file: int) -> None:
    """Have the content of an open file on the disk when this returns; also on macOS, where there is no ``fdatasync``,
    and where ``fsync`` leaves it in the memory of the disk (its manual, fsync(2))."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        try:
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
        except OSError:  # not every file system can
            os.fsync(file)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files durable: a file is only as durable as its name.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, size: int | None = None) -> Iterator[Event]:
    """The events of a file, or of its first bytes, up to the first that was not written whole."""
    with path.open("rb") as file:
        yield from events_of(file if size is None else file.read(size).splitlines(keepends=True))


def _write_ahead(index: sqlite3.Connection) -> None:
    # SQLite itself does not wait for another process that does the same.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            index.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)

"""Merges landed files that dbt has processed, so that their number stays small however many were landed.

Thirty-two files become one, thirty-two of those the next larger one, and so on, up to a size from which on a file stays
as it is. Each row keeps the name of the file that it was landed in and its place there, so that the warehouse holds the
same rows as before, also when it is built anew from the merged files.

What decides is the ledger, ``audit.processed_files``: one transaction puts the merged file in the place of those that
it replaces. Before it, the merged file is ignored, and after it, the others are. A note in ``.merged``, written first
and removed last, says which belong together, so that whoever comes after a crash finishes or takes back. The warehouse
is open for writing meanwhile, so that no dbt reads files that are being removed.
"""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Protocol

import duckdb
from filelock import FileLock, Timeout

from retail_warehouse import raw_files
from retail_warehouse.streaming.landing_folder import make_private, sync, sync_folder

#: Hidden, so that readers of raw files leave it aside.
NOTES = ".merged"
_LANDED = re.compile(r"day=[0-9-]{10}/[^/]+[.]ndjson")
# The first and the last of the landed files, with their days, and how often their rows were merged.
_MERGED = re.compile(r"(day=[^/]+)/(.+)--(day=[^/]+)--(.+)[.]merged-([0-9]+)[.]ndjson")
#: For so long after it was begun, a file on S3 is not merged.
UNSETTLED = timedelta(minutes=5)
_TOGETHER = 32  # files that become one
_LARGEST = 256 << 20  # bytes of a merged file
# Of one step, which holds up the next micro-batch.
_MOST_FILES = 4_096
_MOST_BYTES = 256 << 20
_PROCESSED = """
select
    file_name,
    min(fingerprint) as fingerprint,
    coalesce(string_agg(case when tested_at is not null then model_name end, ' ' order by model_name), '') as tested
from audit.processed_files
where table_name = 'streamed_lines' and list_contains($1, model_name)
group by file_name
having count(distinct model_name) = len($1) and min(fingerprint) = max(fingerprint)
"""
# Parts by the file that they become, as lists of the same length.
_PARTS = "(select unnest($1) as part, unnest($2) as file_name, unnest($3) as fingerprint) as parts"
_ENTER = f"""
insert into audit.processed_files
    (model_name, source_name, table_name, file_name, fingerprint, encoding, processed_at, tested_at, content)
select
    processed.model_name, processed.source_name, processed.table_name, parts.file_name, parts.fingerprint, 'utf-8',
    max(processed.processed_at), max(processed.tested_at), null
from audit.processed_files as processed
inner join {_PARTS}
    on processed.file_name = parts.part
where processed.table_name = 'streamed_lines' and list_contains($4, processed.model_name)
group by all
"""
_LEAVE = """
delete from audit.processed_files
where table_name = 'streamed_lines' and file_name in (select unnest($1)) and list_contains($2, model_name)
"""


class MergeError(Exception):
    """Landed files cannot be merged; nothing is lost, and the next step tries again."""


class _Taken(Exception):
    """Another process is merging this folder."""


class Place(Protocol):
    """Where landed files are."""

    name: str

    def sizes(self) -> dict[str, int]:
        """The landed and merged files, as paths below the place, and their bytes."""

    def is_settled(self, name: str, size: int) -> bool:
        """Whether nobody who lands looks for a file any more, so that it may be merged."""

    def notes(self) -> dict[str, bytes]:
        """What is written in ``.merged``, by name."""

    def alone(self) -> contextlib.AbstractContextManager[object]:
        """Context in which no other process merges here; raises ``_Taken`` if one does."""

    def read(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file, opened."""

    def write(self, name: str, fill: Callable[[IO[bytes]], int]) -> int:
        """Write a file whole and durably, or not at all. Returns what `fill` has returned: its
        size."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, of which some may be gone."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a step has done.

    Args:
        removed: Files that were merged, as paths below the place.
        made: Files that they became.
        written: Bytes of those.
    """

    removed: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    written: int = 0


class Folder:
    """Landed files in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet."""
        self.name = str(folder)
        self._folder = folder

    def sizes(self) -> dict[str, int]:
        """See :class:`Place`."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as days:
            for day in days:
                if day.name.startswith("day=") and day.is_dir():
                    with os.scandir(day.path) as files:
                        for file in files:
                            if file.name.endswith(".ndjson"):
                                found[f"{day.name}/{file.name}"] = file.stat().st_size
        return found

    def is_settled(self, name: str, size: int) -> bool:
        """See :class:`Place`. What is handed over is settled."""
        return True

    def notes(self) -> dict[str, bytes]:
        """See :class:`Place`."""
        return {path.name: path.read_bytes() for path in self._folder.glob(f"{NOTES}/*.json")}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """See :class:`Place`."""
        (self._folder / NOTES).mkdir(exist_ok=True, mode=0o700)
        try:
            with FileLock(self._folder / NOTES / "lock", timeout=0, mode=0o600):
                # What a killed process did not get to write whole.
                for path in self._folder.glob(f"{NOTES}/*.new"):
                    path.unlink(missing_ok=True)
                yield
        except Timeout as error:
            raise _Taken from error

    @contextlib.contextmanager
    def read(self, name: str) -> Iterator[IO[bytes]]:
        """See :class:`Place`."""
        with (self._folder / name).open("rb") as file:
            yield file

    def write(self, name: str, fill: Callable[[IO[bytes]], int]) -> int:
        """See :class:`Place`."""
        path, new = self._folder / name, self._folder / NOTES / f"{_key(name)}.new"
        make_private(new)
        with new.open("wb") as file:
            size = fill(file)
            file.flush()
            sync(file.fileno())
        path.parent.mkdir(exist_ok=True, mode=0o700)
        new.replace(path)
        for folder in (path.parent, self._folder):
            sync_folder(folder)
        return size

    def remove(self, names: Iterable[str]) -> None:
        """See :class:`Place`."""
        folders = set()
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
            folders.add(name.partition("/")[0])
        for name in folders:
            # Not where the API may land: it makes the folder of a day and moves a file there in two steps.
            day = date.fromisoformat(name.removeprefix("day=")) if name.startswith("day=") else date.max
            if day < datetime.now(UTC).date() - timedelta(days=1):
                with contextlib.suppress(OSError):  # something is left in it
                    (self._folder / name).rmdir()
        sync_folder(self._folder)


class S3:
    """Landed files below a prefix of S3."""

    def __init__(self, url: str, client: Any = None) -> None:
        """Ask nothing of AWS yet.

        Args:
            url: Such as ``s3://bucket/landing``.
            client: A boto3 client of S3; by default one of the environment's credentials.
        """
        self.name = url.rstrip("/")
        self._bucket, _, prefix = self.name.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        if client is None:
            import boto3  # not before it is needed: it takes long to import

            client = boto3.client("s3")
        self._client = client

    def _found(self, below: str) -> Iterator[tuple[str, int]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + below)
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix), found["Size"]

    def sizes(self) -> dict[str, int]:
        """See :class:`Place`."""
        return {name: size for name, size in self._found("day=") if name.endswith(".ndjson")}

    def is_settled(self, name: str, size: int) -> bool:
        """See :class:`Place`. Whoever landed a file may ask for some seconds whether it is there, and an empty one
        holds its name for good (see ``landing_s3.py``)."""
        began = _ends(name)[1].rpartition("/")[2]
        return size > 0 and began < f"{datetime.now(UTC) - UNSETTLED:%Y%m%dT%H%M%S%f}"

    def notes(self) -> dict[str, bytes]:
        """See :class:`Place`."""
        names = [name for name, _ in self._found(f"{NOTES}/") if name.endswith(".json")]
        found = {}
        for name in names:
            with self.read(name) as file:
                found[name.rpartition("/")[2]] = file.read()
        return found

    def alone(self) -> contextlib.AbstractContextManager[object]:
        """Nothing to do: of two that make the same file, the second one fails."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def read(self, name: str) -> Iterator[IO[bytes]]:
        """See :class:`Place`."""
        with contextlib.closing(self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]) as body:
            yield io.BufferedReader(body, 1 << 20)

    def write(self, name: str, fill: Callable[[IO[bytes]], int]) -> int:
        """See :class:`Place`. An object that is there already is not replaced.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        with tempfile.TemporaryFile() as file:
            size = fill(file)
            file.seek(0)
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=file, IfNoneMatch="*")
        return size

    def remove(self, names: Iterable[str]) -> None:
        """See :class:`Place`."""
        for some in _parts(names, 1_000):
            keys = [{"Key": self._prefix + name} for name in some]
            told = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            if told.get("Errors"):
                raise OSError(f"{told['Errors'][0].get('Key')} cannot be removed: {told['Errors'][0].get('Code')}")


def place_of(landing: str | Path, client: Any = None) -> Place:
    """Where the files of a landing folder, or of an ``s3://`` prefix, are."""
    return S3(str(landing), client) if str(landing).startswith("s3://") else Folder(Path(landing))


def is_merged(name: str) -> bool:
    """Whether a file of the landing folder is a merged one, by its name."""
    return bool(_MERGED.fullmatch(name))


def merged_rows(place: Place, name: str) -> list[bytes]:
    """The rows of a landed file that are in a merged one, as they stand there; none if it was not merged."""
    end, place_of_row = name[: -len(".ndjson")], _place_of_rows(name)
    for merged in place.sizes():
        first, last = _ends(merged)
        if is_merged(merged) and first <= end <= last:
            with place.read(merged) as file:
                if rows := [row for row in file if row.startswith(place_of_row)]:
                    return rows
    return []


# What dbt reads


def to_be_read(sizes: Mapping[str, int], notes: Iterable[bytes], processed: Iterable[str]) -> set[str]:
    """Those of the landed and merged files that together hold each row once.

    Args:
        sizes: All files that are there.
        notes: What merges were begun, and not brought to their end.
        processed: Files that the ledger has.
    """
    names, known = set(sizes), set(processed)
    for merged, parts in (one for note in notes for one in json.loads(note).items()):
        if merged in names:
            names -= set(parts) if merged in known or not names.issuperset(parts) else {merged}
    return names


def listed(folder: str, processed: Sequence[str]) -> raw_files.Listing:
    """The landed files that dbt reads, as :func:`retail_warehouse.raw_files.list_files` lists them.

    Args:
        folder: Absolute path, or a URL such as ``s3://bucket/landing``; it may be missing.
        processed: Files that the ledger has.
    """
    found = raw_files.list_files(folder, r"[.]ndjson$", is_final=True)
    if found.files and not found.problems:
        try:
            notes = place_of(folder).notes().values()
            kept = to_be_read(dict.fromkeys(found.files, 0), notes, processed)
        except Exception as error:  # of boto3 and botocore, which share no base
            found.problems.append(f"{NOTES} cannot be read: {error}")
        else:
            found.files = {name: version for name, version in found.files.items() if name in kept}
    return found


# Merging


class Merging:
    """Merges the landed files of one place that one warehouse has processed."""

    def __init__(self, place: Place, models: Sequence[str]) -> None:
        """Look at nothing yet.

        Args:
            place: Where the files are.
            models: Names of the models that note in the ledger which landed files they have processed.
        """
        self._place = place
        self._models = list(models)

    def step(self, warehouse: Path) -> Merged:
        """Bring to an end what was begun, and merge what has come together since. What another program holds open is
        left until the next time.

        Args:
            warehouse: The DuckDB file.

        Raises:
            MergeError: Files cannot be read or written; all rows are there, and the next step goes on.
        """
        return self.step_with(lambda: duckdb.connect(str(warehouse)))

    def step_with(self, connect: Callable[[], contextlib.AbstractContextManager[Any]]) -> Merged:
        """The same with a ledger elsewhere.

        Args:
            connect: Opens what holds ``audit.processed_files``: it executes SQL as DuckDB does, and keeps what is
                changed when it executes ``commit``.

        Raises:
            MergeError: Files cannot be read or written; all rows are there, and the next step goes on.
        """
        try:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(self._place.alone())
                    connection = stack.enter_context(connect())
                except (_Taken, duckdb.IOException):
                    return Merged()
                self._repair(connection)
                return self._merge(connection)
        except Exception as error:  # also of boto3 and botocore, which share no base
            raise MergeError(f"Landed files in {self._place.name} are not merged: {error}") from error

    def _repair(self, connection: duckdb.DuckDBPyConnection) -> None:
        notes = self._place.notes()
        if not notes:
            return
        names, known = set(self._place.sizes()), self._processed(connection).keys()
        for note, text in notes.items():
            for merged, parts in json.loads(text).items():
                is_entered = merged in names and (merged in known or not names.issuperset(parts))
                self._place.remove(parts if is_entered else [merged])
            self._place.remove([f"{NOTES}/{note}"])

    def _processed(self, connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
        rows = connection.execute(_PROCESSED, [self._models]).fetchall() if self._models else []
        return {name: (fingerprint, tested) for name, fingerprint, tested in rows}

    def _merge(self, connection: duckdb.DuckDBPyConnection) -> Merged:
        sizes, processed = self._place.sizes(), self._processed(connection)
        groups: dict[tuple[int, str, str], list[str]] = {}
        for name in sorted(sizes):
            fingerprint, tested = processed.get(name, ("", ""))
            size, _, settings = fingerprint.partition(" bytes")
            is_settled = _can_be_merged(name) and self._place.is_settled(name, sizes[name])
            # One that was changed by hand is built anew first.
            if is_settled and size == str(sizes[name]):
                groups.setdefault((_level(name), tested, settings), []).append(name)
        chosen: dict[str, tuple[list[str], str]] = {}
        count = total = 0
        # Those whose rows are tested by themselves, so that `dbt build` tests the others and no more.
        for (level, _, settings), names in sorted(groups.items()):
            for parts in _to_be_merged(names, sizes):
                if not chosen or (count < _MOST_FILES and total < _MOST_BYTES):
                    chosen[_merged_name(parts, level + 1)] = parts, settings
                    count += len(parts)
                    total += sum(sizes[name] for name in parts)
        return self._merge_chosen(connection, chosen) if chosen else Merged()

    def _merge_chosen(
        self, connection: duckdb.DuckDBPyConnection, chosen: Mapping[str, tuple[list[str], str]]
    ) -> Merged:
        text = json.dumps({merged: parts for merged, (parts, _) in chosen.items()}).encode()
        note = f"{NOTES}/{_key(next(iter(chosen)))}.json"
        self._place.write(note, lambda file: file.write(text))
        entries: list[tuple[str, str, str]] = []
        written = 0
        for merged, (parts, settings) in chosen.items():
            size = self._place.write(merged, functools.partial(self._fill, parts))
            entries += [(part, merged, f"{size} bytes{settings}") for part in parts]
            written += size
        removed, becomes, fingerprints = map(list, zip(*entries, strict=True))
        connection.execute("begin")
        connection.execute(_ENTER, [removed, becomes, fingerprints, self._models])
        connection.execute(_LEAVE, [removed, self._models])
        connection.execute("commit")
        self._place.remove(removed)
        self._place.remove([note])
        return Merged(tuple(removed), tuple(chosen), written)

    def _fill(self, parts: Sequence[str], out: IO[bytes]) -> int:
        for name in parts:
            with self._place.read(name) as file:
                if is_merged(name):
                    shutil.copyfileobj(file, out, 1 << 20)
                    continue
                place = _place_of_rows(name)
                for line in file:
                    if row := line.strip():
                        if not row.startswith(b"{"):
                            raise MergeError(f"{name} holds a line that is no JSON object")
                        out.write(place + row[1:] + b"\n")
        return out.tell()


def _to_be_merged(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Groups of files that are enough to become one."""
    parts: list[str] = []
    total = 0
    for name in names:
        if sizes[name] > _LARGEST // 2:
            continue
        if len(parts) == _TOGETHER or total + sizes[name] > _LARGEST:
            yield parts
            parts, total = [], 0
        parts.append(name)
        total += sizes[name]
    if len(parts) == _TOGETHER:
        yield parts


def _can_be_merged(name: str) -> bool:
    return is_merged(name) or bool(_LANDED.fullmatch(name) and "--" not in name and ".merged-" not in name)


def _level(name: str) -> int:
    found = _MERGED.fullmatch(name)
    return int(found[5]) if found else 0


def _ends(name: str) -> tuple[str, str]:
    """The first and the last landed file of a file."""
    found = _MERGED.fullmatch(name)
    return (f"{found[1]}/{found[2]}", f"{found[3]}/{found[4]}") if found else (name[: -len(".ndjson")],) * 2


def _merged_name(parts: Sequence[str], level: int) -> str:
    first = min(_ends(name)[0] for name in parts)
    last = max(_ends(name)[1] for name in parts)
    return f"{first}--{last.replace('/', '--', 1)}.merged-{level}.ndjson"


def _place_of_rows(name: str) -> bytes:
    """How the rows of a landed file begin in a merged one."""
    return b'{"landing_file": ' + json.dumps(name).encode() + b", "


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _parts(names: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(itertools.islice(rest, size)):
        yield some

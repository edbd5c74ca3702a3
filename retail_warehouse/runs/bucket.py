"""The data bucket: its prefixes, and copying between it and the disk."""

import contextlib
import json
import mimetypes
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from retail_warehouse.errors import DataError

#: Raw files, one folder per source.
RAW = "raw"
#: Rows that came through the API (``ONLINE_RETAIL_LANDING``).
STREAMED = "streamed"
#: Parquet files that Redshift copies, one folder per source.
REDSHIFT_LOAD = "redshift_load"
#: What Redshift unloads for training and predicting, one folder per relation.
FEATURES = "features"
#: Trained models, one folder per version.
MODELS = "models"
#: Parquet files that ``retail-warehouse predict`` writes.
PREDICTIONS = "predictions"
#: Parquet files for Athena, Spark and BI tools.
EXPORTS = "exports"
#: Documentation, column lineage and dashboard.
SITE = "site"
#: The lock, the state and the summaries of runs.
RUNS = "runs"
#: Query results of Athena; runs do not write here.
ATHENA = "athena"
PREFIXES = (RAW, STREAMED, REDSHIFT_LOAD, FEATURES, MODELS, PREDICTIONS, EXPORTS, SITE, RUNS, ATHENA)

# People upload this object after the last file of a source. It starts a run, and is not data.
MARKER = "_SUCCESS"

_AT_A_TIME = 8  # files copied in parallel
_TELL_SECONDS = 10.0
_PIECE = 1 << 20  # bytes
_NOT_AS_ASKED = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_GONE = ("NoSuchKey", "404")
_ERRORS = (Boto3Error, BotoCoreError, ClientError)
# For one file: errors of S3, and connections that break while a file is read.
_PATIENTLY = Retrying(
    retry=retry_if_exception_type((*_ERRORS, OSError)),
    stop=stop_after_attempt(3),
    wait=wait_exponential(0.2, 5),
    reraise=True,
)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """An object, as the bucket lists it.

    Args:
        size: Bytes.
        etag: Changes with the content.
        modified: When it was written, by S3's clock.
    """

    size: int
    etag: str
    modified: datetime


class Changed(Exception):
    """An object was written or removed by somebody else."""


def code_of(error: Exception) -> str:
    """The code of an AWS error, such as ``NoSuchKey``; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


class Bucket:
    """An S3 bucket.

    Attributes:
        name: Its name.
        client: A boto3 client of S3.
    """

    def __init__(self, name: str, client: Any = None) -> None:
        """Prepare it; AWS is not contacted.

        Args:
            name: Its name, without a scheme.
            client: A boto3 client of S3; by default one with the credentials of the environment.
        """
        self.name = name
        self.client = client or boto3.client("s3", config=Config(max_pool_connections=2 * _AT_A_TIME))

    def url(self, *parts: str) -> str:
        """The ``s3://`` address of a prefix."""
        return "/".join((f"s3://{self.name}", *parts))

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn errors of AWS into one line.

        Raises:
            DataError: For any error of AWS.
        """
        try:
            yield
        except _ERRORS as error:
            why = code_of(error) or type(error).__name__
            raise DataError(f"{what}: {why}. Check the bucket's name and the permissions of the role.") from error

    def files(self, *parts: str) -> dict[str, Found]:
        """The files in a prefix, by name, without markers and folders.

        Raises:
            DataError: The prefix cannot be listed, or a name would leave the folder that it is copied to.
        """
        prefix = "/".join(parts) + "/"
        found: dict[str, Found] = {}
        with self._told(f"{self.url(*parts)} cannot be listed"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for item in page.get("Contents", []):
                    name = item["Key"].removeprefix(prefix)
                    if name and not name.endswith("/") and name.rpartition("/")[2] != MARKER:
                        found[name] = Found(item["Size"], item["ETag"], item["LastModified"])
        for name in found:
            if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name or "\\" in name:
                raise DataError(f"{self.url(*parts)}/{name!r} cannot be copied to a disk under this name; rename it.")
        return dict(sorted(found.items()))

    # Copies

    def download(self, prefix: str, folder: Path, files: dict[str, Found], tell: Tell) -> int:
        """Make a folder hold exactly these files. Files that are there already are kept. A file appears complete, with
        the time at which it was written to the bucket.

        Args:
            prefix: Where they are in the bucket.
            folder: Created if missing.
            files: As listed by :meth:`files`.
            tell: Called with a line of progress from time to time.

        Returns:
            The number of files that were copied.

        Raises:
            DataError: A file cannot be read, or was replaced or removed since it was listed.
            OSError: The disk cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        note = note_of(folder)
        known = _read_note(note)
        wanted = {name: one for name, one in files.items() if not _is_there(folder / name, one, known.get(name))}
        _remove_others(folder, files)
        copied = {name: one.etag for name, one in files.items() if name not in wanted}
        progress = _Progress(len(wanted), sum(one.size for one in wanted.values()), tell)
        try:
            with ThreadPoolExecutor(_AT_A_TIME, "copy") as pool:
                running = {
                    pool.submit(self._get, f"{prefix}/{name}", folder / name, wanted[name]): name for name in wanted
                }
                try:
                    for done in as_completed(running):
                        done.result()
                        copied[running[done]] = wanted[running[done]].etag
                        progress.add(wanted[running[done]].size)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        finally:
            _write(note, json.dumps(copied).encode())
        return len(wanted)

    def _get(self, key: str, path: Path, found: Found) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            with self._told(f"{self.url(key)} cannot be read"):
                _PATIENTLY.copy()(self._get_once, key, part, found)
        except Changed as error:
            raise DataError(
                f"{self.url(key)} was replaced or removed while it was copied. Start the run again when all files have "
                "been uploaded."
            ) from error
        seconds = found.modified.timestamp()
        os.utime(part, (seconds, seconds))  # dbt identifies a file by its size and time
        part.replace(path)

    def _get_once(self, key: str, part: Path, found: Found) -> None:
        try:
            body = self.client.get_object(Bucket=self.name, Key=key, IfMatch=found.etag)["Body"]
        except ClientError as error:
            if code_of(error) in (*_NOT_AS_ASKED, *_GONE):
                raise Changed(key) from error
            raise
        with contextlib.closing(body), part.open("wb") as file:
            while piece := body.read(_PIECE):
                file.write(piece)
        if part.stat().st_size != found.size:
            raise OSError(f"{key} was read only in part")

    def read_into(self, key: str, file: IO[bytes]) -> bool:
        """Write the content of an object to an open file; false if there is no such object.

        Raises:
            DataError: It cannot be read.
            OSError: The disk cannot be written.
        """
        with self._told(f"{self.url(key)} cannot be read"):
            try:
                body = self.client.get_object(Bucket=self.name, Key=key)["Body"]
            except ClientError as error:
                if code_of(error) in _GONE:
                    return False
                raise
            with contextlib.closing(body):
                while piece := body.read(_PIECE):
                    file.write(piece)
        return True

    def upload(self, folder: Path, prefix: str, names: Iterable[str]) -> None:
        """Upload files of a folder to a prefix, replacing those of the same name.

        Raises:
            DataError: A file cannot be written; those before it were.
        """
        with ThreadPoolExecutor(_AT_A_TIME, "copy") as pool:
            for done in [pool.submit(self._put_file, folder / name, f"{prefix}/{name}") for name in names]:
                done.result()

    def _put_file(self, path: Path, key: str) -> None:
        kind, _ = mimetypes.guess_type(path.name)
        more = {"ContentType": kind} if kind else {}
        with self._told(f"{self.url(key)} cannot be written"):
            self.client.upload_file(str(path), self.name, key, ExtraArgs=more)

    def remove(self, prefix: str, names: Iterable[str]) -> None:
        """Remove objects from a prefix.

        Raises:
            DataError: An object cannot be removed.
        """
        for name in names:
            with self._told(f"{self.url(prefix, name)} cannot be removed"):
                self.client.delete_object(Bucket=self.name, Key=f"{prefix}/{name}")

    # Small objects, read and written under conditions

    def read(self, key: str) -> tuple[bytes, str, float] | None:
        """The content of an object, its ETag and its age in seconds by S3's clock; None if there is no such object.


        Raises:
            DataError: It cannot be read.
        """
        with self._told(f"{self.url(key)} cannot be read"):
            try:
                answer = self.client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise
            now = datetime.strptime(answer["ResponseMetadata"]["HTTPHeaders"]["date"], "%a, %d %b %Y %H:%M:%S %Z")
            age = (now - answer["LastModified"].replace(tzinfo=None)).total_seconds()
            return answer["Body"].read(), answer["ETag"], age

    def write(self, key: str, content: bytes, *, only_new: bool = False, instead_of: str | None = None) -> str:
        """Write an object and return its ETag.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

        Args:
            key: Its key.
            content: Its bytes.
            only_new: Fail if the object exists.
            instead_of: Fail unless the object has this ETag.

        Raises:
            Changed: The condition was not met.
            DataError: It cannot be written.
        """
        condition = {"IfNoneMatch": "*"} if only_new else {"IfMatch": instead_of} if instead_of else {}
        with self._told(f"{self.url(key)} cannot be written"):
            try:
                return self.client.put_object(Bucket=self.name, Key=key, Body=content, **condition)["ETag"]
            except ClientError as error:
                if condition and code_of(error) in (*_NOT_AS_ASKED, *_GONE):
                    raise Changed(key) from error
                raise

    def delete(self, key: str, etag: str) -> None:
        """Remove an object if it has this ETag.

        Raises:
            DataError: It cannot be removed.
        """
        with self._told(f"{self.url(key)} cannot be removed"):
            try:
                self.client.delete_object(Bucket=self.name, Key=key, IfMatch=etag)
            except ClientError as error:
                if code_of(error) not in (*_NOT_AS_ASKED, *_GONE):
                    raise


class _Progress:
    """Prints the progress of copying from time to time."""

    def __init__(self, files: int, size: int, tell: Tell) -> None:
        self._files, self._size, self._tell = files, size, tell
        self._done = self._bytes = 0
        self._told = time.monotonic()

    def add(self, size: int) -> None:
        self._done += 1
        self._bytes += size
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self._tell(
                f"{self._done:,} of {self._files:,} files, {self._bytes / 1e6:,.0f} of {self._size / 1e6:,.0f} MB"
            )


def _is_there(path: Path, found: Found, etag: str | None) -> bool:
    try:
        known = path.stat()
    except OSError:
        return False
    return etag == found.etag and known.st_size == found.size and int(known.st_mtime) == int(found.modified.timestamp())


def _remove_others(folder: Path, files: dict[str, Found]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # it holds something
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in files:
            path.unlink()


def note_of(folder: Path) -> Path:
    """The file beside a folder that records which version of each file was copied."""
    return folder.with_name(f".{folder.name}.copied.json")


def _read_note(note: Path) -> dict[str, str]:
    try:
        return dict(json.loads(note.read_bytes()))
    except (OSError, ValueError):
        return {}


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)

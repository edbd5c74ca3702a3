"""Copies of many small files in one object: streamed rows come in thousands of files, and a task begins with an empty
disk. A bundle is a help alone: each file that it brings is held against what the bucket lists."""

import gzip
import tarfile
import tempfile
import zlib
from pathlib import Path

from retail_warehouse.runs.bucket import RUNS, Bucket, Found, note_of

#: Files that are not in the bundle yet, from which on it is written anew.
MANY = 1_000


def fetch(bucket: Bucket, prefix: str, folder: Path) -> None:
    """Fill a folder that is not there yet with what the last bundle holds, if there is one.

    Args:
        bucket: The bucket.
        prefix: Whose files it holds.
        folder: Made from it.

    Raises:
        DataError: The bucket cannot be read.
        OSError: The disk cannot be written.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        if not bucket.read_into(_key(prefix), file):
            return
        file.seek(0)
        try:
            with tarfile.open(fileobj=file) as bundle:
                bundle.extractall(folder.parent, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile):
            return  # what it does not bring is copied file by file


def keep(bucket: Bucket, prefix: str, folder: Path, files: dict[str, Found], copied: int) -> None:
    """Write the bundle anew if many files were not in the last one.

    Args:
        bucket: The bucket.
        prefix: Whose files it holds.
        folder: Holds them.
        files: Their names.
        copied: How many of them were copied one by one.

    Raises:
        DataError: The bucket cannot be written.
        OSError: The disk cannot be written.
    """
    if copied < MANY:
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        path = Path(scratch) / f"{prefix}.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as bundle:
            bundle.add(note_of(folder), note_of(folder).name)
            for name in files:
                bundle.add(folder / name, f"{folder.name}/{name}")
        bucket.upload(path.parent, f"{RUNS}/bundles", [path.name])


def _key(prefix: str) -> str:
    return f"{RUNS}/bundles/{prefix}.tar.gz"

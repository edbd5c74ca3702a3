"""Copies of many small files in one object: streamed rows come in thousands of files, and a task starts with an empty
disk. A bundle is only a cache: each file in it is checked against the bucket listing."""

import gzip
import tarfile
import tempfile
import zlib
from pathlib import Path

from retail_warehouse.runs.bucket import RUNS, Bucket, Found, note_of

#: Number of unbundled files at which the bundle is rewritten.
MANY = 1_000


def fetch(bucket: Bucket, prefix: str, folder: Path) -> None:
    """Fill a folder that does not exist yet from the last bundle, if there is one.

    Args:
        bucket: The bucket.
        prefix: The prefix whose files are bundled.
        folder: Created from the bundle.

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
                # Python 3.11.4 and later have filters. What a bundle holds is compared with the bucket in any case.
                filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                bundle.extractall(folder.parent, **filtered)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile):
            return  # the files are copied one by one


def keep(bucket: Bucket, prefix: str, folder: Path, files: dict[str, Found], copied: int) -> None:
    """Rewrite the bundle if many files were missing from the last one.

    Args:
        bucket: The bucket.
        prefix: The prefix whose files are bundled.
        folder: Where they are on the disk.
        files: What is in the prefix, by name.
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

"""The local folder that stands for S3, and what COPY and UNLOAD do with it; an emulator of S3 may stand behind it."""

import json
import threading
import uuid
from pathlib import Path
from typing import Any

from .parquet import Column, csv_to_parquet, parquet_to_csv
from .refusals import NotEmulated, Refused, refuse

_POLL_SECONDS = 0.01


class Mirror:
    """Keeps the folder like a bucket that others read and write through an emulator of S3."""

    def __init__(self, folder: Path, client: Any) -> None:
        """Copies nothing yet.

        Args:
            folder: `s3://bucket/key` is the file `bucket/key` in it.
            client: A boto3 client of the emulator.
        """
        self._folder = folder
        self._client = client
        self._known: dict[str, str] = {}

    def _listed(self, url: str) -> dict[str, str]:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {f"{bucket}/{one['Key']}": one["ETag"] for page in pages for one in page.get("Contents", [])}

    def pull(self, url: str) -> None:
        """Makes the folder hold what the emulator has below a prefix; files that were never there stay."""
        listed = self._listed(url)
        for name in [name for name in self._known if f"s3://{name}".startswith(url) and name not in listed]:
            (self._folder / name).unlink(missing_ok=True)
            del self._known[name]
        for name, etag in listed.items():
            path = self._folder / name
            if self._known.get(name) != etag or not path.is_file():
                bucket, _, key = name.partition("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
                self._known[name] = etag

    def push(self, url: str, files: list[Path]) -> None:
        """Makes the emulator hold these files below a prefix, and no others."""
        names = {file.relative_to(self._folder).as_posix(): file for file in files}
        for name in self._listed(url).keys() - names.keys():
            bucket, _, key = name.partition("/")
            self._client.delete_object(Bucket=bucket, Key=key)
            self._known.pop(name, None)
        for name, file in names.items():
            bucket, _, key = name.partition("/")
            self._known[name] = self._client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())["ETag"]


class FileServer:
    """Answers what the procedures of `sql/3_s3.sql` ask, from a thread of its own.

    A request is a file `ID.request` in the spool folder, complete as soon as there is `ID.ready`; the answer is
    `ID.answer`.
    """

    def __init__(self, spool: Path, s3: Path, mirror: Mirror | None = None) -> None:
        self._spool = spool
        self._s3 = s3
        self._mirror = mirror
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redshift_stand_in files", daemon=True)

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            for ready in sorted(self._spool.glob("*.ready")):
                answer = self._answer(json.loads(ready.with_suffix(".request").read_text()))
                ready.unlink()
                # Under another name first, so that it is never read in part.
                written = ready.with_suffix(".written")
                written.write_text(json.dumps(answer))
                written.chmod(0o644)
                written.rename(ready.with_suffix(".answer"))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        columns = [Column(**column) for column in request["columns"]]
        try:
            if request["command"] == "copy":
                return {"files": [str(file) for file in self.copy(request["source"], columns)]}
            self.unload(
                Path(request["file"]),
                columns,
                request["target"],
                partition_by=request["partition_by"],
                cleanpath=request["cleanpath"],
                allowoverwrite=request["allowoverwrite"],
            )
            return {}
        except Refused as error:
            return {"rule": error.rule.name, "detail": error.detail}
        except NotEmulated as error:
            return {"failure": str(error)}
        except Exception as error:  # Whatever it is, the session has to learn of it.
            return {"failure": f"[stand-in: error] {type(error).__name__}: {error}"}

    def objects(self, url: str) -> list[Path]:
        """The files whose key starts with the URL's."""
        prefix = url.removeprefix("s3://")
        # A key prefix may end within a name, and then all names that go on are meant.
        folder = self._s3 / prefix.rpartition("/")[0]
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return [path for path in found if path.relative_to(self._s3).as_posix().startswith(prefix)]

    def copy(self, url: str, columns: list[Column]) -> list[Path]:
        """The CSV files with the rows of the objects that have the prefix.

        Raises:
            Refused: there are none, or one does not fit.
            NotEmulated: a type is not known here.
        """
        if self._mirror:
            self._mirror.pull(url)
        objects = self.objects(url)
        if not objects:
            refuse("copy_prefix", url)
        written = []
        for path in objects:
            if path.name.startswith(("_", ".")):
                raise NotEmulated(f"COPY with a hidden object: {path.name}")
            target = self._spool / f"{uuid.uuid4()}.csv"
            parquet_to_csv(path, target, columns)
            target.chmod(0o644)
            written.append(target)
        return written

    def unload(
        self,
        file: Path,
        columns: list[Column],
        url: str,
        *,
        partition_by: list[str],
        cleanpath: bool,
        allowoverwrite: bool,
    ) -> None:
        """Writes the rows of a CSV file as the objects that UNLOAD writes. As on S3, no ROLLBACK takes them back.

        Raises:
            Refused: there are objects already, or the partition columns are none.
            NotEmulated: there are no rows and no partitions, or a type or a value is not known here.
        """
        if partition_by:
            url = url.rstrip("/") + "/"
        if self._mirror:
            self._mirror.pull(url)
        if self.objects(url) and not (cleanpath or allowoverwrite):
            refuse("unload_not_empty", url)
        folders = csv_to_parquet(file, columns, partition_by)
        for path, rows in folders:
            if not partition_by and not rows.limit(1).fetchall():
                raise NotEmulated("UNLOAD of no rows without PARTITION BY")
            # With partitions, CLEANPATH looks into those only that get files:
            # https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html#cleanpath
            for old in self.objects(url + path) if cleanpath else []:
                old.unlink()
            target = self._s3 / f"{url.removeprefix('s3://')}{path}0000_part_00.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(str(target), compression="snappy")
        if self._mirror:
            self._mirror.push(url, self.objects(url))
        file.unlink(missing_ok=True)

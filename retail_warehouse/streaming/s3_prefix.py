"""Landing on S3: files that were handed over on this machine are moved to a prefix, where dbt reads them."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from retail_warehouse.streaming.landing import LandingError
from retail_warehouse.streaming.landing_folder import handed_over
from retail_warehouse.streaming.merging import S3, merged_rows

_PAUSE = 1.0  # seconds between looks
_LONGEST_PAUSE = 60.0  # seconds, while S3 does not answer


class S3Prefix:
    """Moves landed files from a folder of this machine, which keeps what was acknowledged until it is there."""

    def __init__(
        self, url: str, folder: Path, tell: Callable[[str], None] = lambda message: None, client: Any = None
    ) -> None:
        """Ask nothing of AWS yet.

        Args:
            url: Such as ``s3://bucket/landing/online_retail``.
            folder: Where the API lands.
            tell: Gets a message where S3 does not take a file.
            client: A boto3 client of S3; by default one of the environment's credentials.
        """
        self.url = url.rstrip("/")
        self._folder = folder
        self._tell = tell
        self._bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or boto3.client("s3")
        # A killed process may have put them there, and dbt may have processed and merged them since.
        self._left = {path.relative_to(folder).as_posix() for path in handed_over(folder)}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._move_always, name="s3", daemon=True)

    def move(self) -> int:
        """Move all files that were handed over, and return their number. A file that was moved before is replaced by
        itself, and one that dbt has processed and merged since is not moved again, so that a crash in between does no
        harm.

        Raises:
            LandingError: S3 does not take one; it and all after it stay in the folder.
        """
        moved = 0
        for path in handed_over(self._folder):
            name = path.relative_to(self._folder).as_posix()
            key = self._prefix + name
            try:
                if name in self._left and merged_rows(S3(self.url, self._client), name):
                    path.unlink(missing_ok=True)
                    continue
                self._client.put_object(Bucket=self._bucket, Key=key, Body=path.read_bytes())
            except FileNotFoundError:
                continue  # another process was faster
            except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
                raise LandingError(
                    f"Landed files cannot be moved to {self.url}: {type(error).__name__}. They stay in {self._folder} "
                    "and are moved once it answers; check bucket and credentials."
                ) from error
            path.unlink(missing_ok=True)
            moved += 1
        return moved

    def names(self) -> set[str]:
        """The files that dbt finds there, as paths below the prefix.

        Raises:
            LandingError: S3 does not tell.
        """
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise LandingError(
                f"The files of {self.url} cannot be listed: {type(error).__name__}. Check bucket and credentials."
            ) from error
        return {key.removeprefix(self._prefix) for key in keys if key.endswith(".ndjson")}

    def start(self) -> None:
        """Move files in a thread as they come."""
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """End the thread, and move what is left.

        Args:
            seconds: How long it may take; what is not moved by then is moved when the API runs again.

        Raises:
            LandingError: S3 does not take it; it is moved when the API runs again.
        """
        self._ends.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise LandingError(f"{self.url} does not answer; what is left in {self._folder} is moved by the next API.")

    def _move_always(self) -> None:
        patiently = Retrying(
            retry=retry_if_exception_type(LandingError),
            wait=wait_exponential(2 * _PAUSE, _LONGEST_PAUSE),
            sleep=sleep_using_event(self._ends),
            stop=stop_when_event_set(self._ends),
            before_sleep=lambda state: self._tell(str(state.outcome.exception())),
        )
        is_over = False
        while not is_over:
            # Once more after the end, for what was handed over last.
            is_over = self._ends.wait(_PAUSE)
            with contextlib.suppress(RetryError):
                patiently(self.move)

"""One run at a time: an object in the bucket that the current run keeps renewing."""

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from retail_warehouse.errors import DataError
from retail_warehouse.runs.bucket import RUNS, Bucket, Changed

KEY = f"{RUNS}/lock"
#: Seconds without a heartbeat after which a lock is considered abandoned.
EXPIRES = 90.0
#: Seconds between two heartbeats.
HEARTBEAT = 15.0


class Held(Exception):
    """Another run holds the lock; the text says which."""


class Lock:
    """The lock, as held by a run.

    Attributes:
        is_lost: Whether another run has taken it over, or may have.
    """

    def __init__(self, bucket: Bucket, run: str, expires: float = EXPIRES, heartbeat: float = HEARTBEAT) -> None:
        """Prepare it; the bucket is not contacted.

        Args:
            bucket: Holds the lock.
            run: Name of the run.
            expires: Seconds after which a lock without a heartbeat may be taken over.
            heartbeat: Seconds between two heartbeats.
        """
        self.is_lost = False
        self._bucket, self._expires, self._heartbeat = bucket, expires, heartbeat
        self._about: dict[str, str] = {
            "run": run,
            "host": socket.gethostname(),
            "process": str(os.getpid()),
            "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "id": secrets.token_hex(8),
        }
        self._beats = 0
        self._etag = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)

    def _content(self) -> bytes:
        # The content differs each time, and so does the ETag.
        self._beats += 1
        return json.dumps({**self._about, "beats": self._beats}).encode()

    def take(self) -> None:
        """Take the lock, or take over one that has expired.

        Raises:
            Held: Another run holds it.
            DataError: The bucket cannot be read or written.
        """
        while True:
            try:
                self._etag = self._bucket.write(KEY, self._content(), only_new=True)
                break
            except Changed:
                found = self._bucket.read(KEY)
            if found is None:
                continue  # released just now
            content, etag, age = found
            if self._is_ours(content):  # it was written, but the response was lost
                self._etag = etag
                break
            if age < self._expires:
                raise Held(_told(content, age))
            try:
                self._etag = self._bucket.write(KEY, self._content(), instead_of=etag)
                break
            except Changed:
                continue  # another run was faster
        self._thread.start()

    def _is_ours(self, content: bytes) -> bool:
        return self._about["id"].encode() in content

    def _beat(self) -> bool:
        """Renew the lock; false if another run holds it."""
        try:
            self._etag = self._bucket.write(KEY, self._content(), instead_of=self._etag)
        except Changed:
            found = self._bucket.read(KEY)
            if found is None or not self._is_ours(found[0]):
                return False
            self._etag = found[1]  # it was written, but the response was lost
        return True

    def _keep(self) -> None:
        silent = 0.0
        while not self._ended.wait(self._heartbeat):
            try:
                silent = 0.0 if self._beat() else self._expires
            except DataError:  # retried until another run may have taken it over
                silent += self._heartbeat
            if silent >= self._expires - self._heartbeat:
                self.is_lost = True
                # dbt cancels what runs on Redshift when it is interrupted.
                os.kill(os.getpid(), signal.SIGINT)
                return

    def give_back(self) -> None:
        """Remove the lock, so that the next run can start at once."""
        self._ended.set()
        self._thread.join(self._expires)
        if not self.is_lost:
            with contextlib.suppress(DataError):  # it then expires
                self._bucket.delete(KEY, self._etag)


def _told(content: bytes, age: float) -> str:
    try:
        about = json.loads(content)
        who = f"{about['run']} on {about['host']}, process {about['process']}, since {about['since']}"
    except (ValueError, KeyError, TypeError):
        who = "an unknown run"
    return f"Another run holds the lock: {who}; it last renewed it {age:.0f} s ago."


@contextlib.contextmanager
def held(bucket: Bucket, run: str) -> Iterator[Lock]:
    """A context in which no other run works on the bucket.

    Args:
        bucket: Holds the lock.
        run: Name of the run.

    Raises:
        Held: Another run holds it.
        DataError: The bucket cannot be read or written.
    """
    lock = Lock(bucket, run)
    lock.take()
    try:
        yield lock
    finally:
        lock.give_back()

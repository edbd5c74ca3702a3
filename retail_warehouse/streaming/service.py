"""The API as a process: opened from the environment, served by uvicorn."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retail_warehouse.deliveries import DataError
from retail_warehouse.streaming.api import create_app
from retail_warehouse.streaming.intake import Intake
from retail_warehouse.streaming.landing_folder import LandingError, handed_over
from retail_warehouse.streaming.rules import Rules, RulesError, load
from retail_warehouse.streaming.serving import ServingStore, StoreError
from retail_warehouse.streaming.tokens import ConfigurationError, verifier_from_environment

# The key of the local issuer and the serving store, below the project's folder.
STATE = Path(".streaming")
_DYNAMODB = "dynamodb:"
_KEEP_ALIVE_SECONDS = 30
_END_SECONDS = 5  # for requests under way; container managers kill after ten
HEAD_SECONDS = 10
MOST_HEAD_BYTES = 64 << 10


class Protocol(HttpToolsProtocol):
    """HTTP with limits of time and size for the head of a request, which httptools takes at any length."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See the base class, as below."""
        super().connection_made(transport)
        self._await_head()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_message_begin(self) -> None:  # noqa: D102
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:  # noqa: D102
        self._end_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        timer = self._head_timer
        super().data_received(data)
        if timer is not None and timer is self._head_timer:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._end_head()
        super().connection_lost(exc)


def open_store() -> ServingStore:
    """The serving store that ``SERVING_STORE`` names: a path, or ``dynamodb:<table>``.

    Raises:
        DataError: It cannot be opened.
    """
    name = _store_name()
    try:
        if name.startswith(_DYNAMODB):
            # boto3 takes a while to import.
            from retail_warehouse.streaming.dynamodb_store import DynamoDbStore

            return DynamoDbStore(name.removeprefix(_DYNAMODB))
        from retail_warehouse.streaming.sqlite_store import SqliteStore

        return SqliteStore(Path(name))
    except StoreError as error:
        raise DataError(str(error)) from error


def _store_name() -> str:
    return os.environ.get("SERVING_STORE") or str(STATE / "serving.sqlite")


def store_is_made() -> bool:
    """Whether there is a serving store, which :func:`open_store` would make where it is a file."""
    return _store_name().startswith(_DYNAMODB) or Path(_store_name()).is_file()


def landing() -> tuple[Path, str | None]:
    """The folder of this machine where rows are landed, and the S3 prefix that they are moved to, if
    ``ONLINE_RETAIL_LANDING`` names one.

    Raises:
        DataError: It names nothing, or something else.
    """
    name = os.environ.get("ONLINE_RETAIL_LANDING", "")
    if not name:
        raise DataError("Set ONLINE_RETAIL_LANDING to the folder where rows are landed; dbt looks there too.")
    if name.startswith("s3://"):
        return STATE / "landing", name
    if "://" in name or name.startswith("~"):
        raise DataError(f"ONLINE_RETAIL_LANDING must be a folder, without ~, or an s3:// prefix (now: {name}).")
    return Path(name), None


def landed_files() -> set[str]:
    """The files of landed rows, as paths below ``ONLINE_RETAIL_LANDING``, with those that were not handed over to dbt
    yet; none where it is not set.

    Raises:
        DataError: They cannot be listed.
    """
    if not os.environ.get("ONLINE_RETAIL_LANDING"):
        return set()
    folder, url = landing()
    paths = [*handed_over(folder), *(path for path in folder.glob(".open/*") if path.stat().st_size)]
    names = {path.relative_to(folder).as_posix() for path in paths}
    if not url:
        return names
    # boto3 takes a while to import.
    from retail_warehouse.streaming.s3_prefix import S3Prefix

    try:
        return names | S3Prefix(url, folder).names()
    except LandingError as error:
        raise DataError(str(error)) from error


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Args:
        host: Address to listen at.
        port: Port to listen at.

    Raises:
        DataError: Another program has it, or this user may not.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise DataError(f"Nothing can listen at {host}, port {port}: {error.strerror}. Name another --port.") from error
    return listener


def serve(host: str, port: int, seal_seconds: float, lookups_per_second: int, posts_per_second: int) -> None:
    """Serve the API until the process is told to end.

    Args:
        host: Address to listen at.
        port: Port to listen at.
        seal_seconds: Age at which landed rows are handed to dbt.
        lookups_per_second: Most look-ups of one client.
        posts_per_second: Most requests with rows of one client.

    Raises:
        DataError: Something that the API needs cannot be opened; the text says what to do.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    level = os.environ.get("LOG_LEVEL", "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        raise DataError(f"LOG_LEVEL is {level}; INFO tells of each request, WARNING of trouble alone.")
    logging.getLogger("retail_warehouse.api").setLevel(level)
    # The server hands the signal on once it has ended; what follows it must still be done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.closing(listen(host, port)) as listener:
        _serve(listener, seal_seconds, lookups_per_second, posts_per_second)


def _serve(listener: socket.socket, seal_seconds: float, lookups_per_second: int, posts_per_second: int) -> None:
    try:
        verifier = verifier_from_environment(STATE)
    except ConfigurationError as error:
        raise DataError(str(error)) from error
    store = open_store()
    tell = logging.getLogger("retail_warehouse.intake").error
    folder, url = landing()
    s3 = None
    if url:
        # boto3 takes a while to import.
        from retail_warehouse.streaming.s3_prefix import S3Prefix

        s3 = S3Prefix(url, folder, tell)
    try:
        intake = Intake(Rules(load(Path.cwd())), store, folder, seal_seconds=seal_seconds, tell=tell)
    except (LandingError, StoreError, RulesError) as error:
        raise DataError(str(error)) from error
    if s3:
        s3.start()
    app = create_app(intake, store, verifier, lookups_per_second, posts_per_second)
    # What is there now stays; looking through it for garbage again and again makes callers wait.
    gc.collect()
    gc.freeze()
    try:
        config = uvicorn.Config(
            app,
            access_log=False,
            server_header=False,
            log_level="warning",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_END_SECONDS,
            http=Protocol,
            ws="none",
        )
        with contextlib.suppress(KeyboardInterrupt):  # how it ends
            uvicorn.Server(config).run([listener])
    finally:
        try:
            intake.close()
            if s3:
                s3.stop()
        except LandingError as error:
            raise DataError(str(error)) from error
        finally:
            store.close()

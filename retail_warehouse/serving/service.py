"""The API as a process: opened from the environment, served by uvicorn."""

import contextlib
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from retail_warehouse.background import listen
from retail_warehouse.errors import DataError
from retail_warehouse.serving.api import create_app
from retail_warehouse.serving.connections import Config, Connections, most_connections
from retail_warehouse.serving.logs import set_up_logs
from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.predictions_api import predictions_routes
from retail_warehouse.serving.published import Published
from retail_warehouse.serving.store import ServingStore, StoreError
from retail_warehouse.serving.stores import open_predictions, open_store
from retail_warehouse.serving.tokens import ConfigurationError, verifier_from_environment
from retail_warehouse.settings import STATE, Settings, settings
from retail_warehouse.streaming.intake import Intake
from retail_warehouse.streaming.landing import Landing, LandingError
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.rules import Rules, RulesError, load

if TYPE_CHECKING:
    from retail_warehouse.streaming.s3_prefix import S3Prefix

_log = logging.getLogger("retail_warehouse.intake")
# For all that is to be done once the process is told to end; what is left, the next one takes over.
_END_SECONDS, _LEAST_SECONDS = 4.7, 0.5
_SEAL_BYTES = 16 << 20  # from which on a file is handed to dbt


def serve(
    host: str,
    port: int,
    seal_seconds: float,
    lookups_per_second: int,
    posts_per_second: int,
    rejected_megabytes: int = 64,
) -> None:
    """Serve the API until the process is told to end.

    Args:
        host: Address to listen at.
        port: Port to listen at.
        seal_seconds: Age at which landed rows are handed to dbt.
        lookups_per_second: Most look-ups of one client.
        posts_per_second: Most requests with rows of one client.
        rejected_megabytes: Most that is kept of the rejected rows of one client within an hour.

    Raises:
        DataError: Something that the API needs cannot be opened; the text says what to do.
    """
    given = settings()
    set_up_logs(given.log_level, given.logs_json)
    # uvicorn raises the signal again when it has stopped. The rest of this function must still run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.closing(listen(host, port)) as listener:
        _serve(listener, seal_seconds, lookups_per_second, posts_per_second, rejected_megabytes)


has_served = threading.Event()  # whether the API was served by this process, and may have left threads


class _Server(uvicorn.Server):
    """Knows when it was told to end."""

    told_at: float | None = None

    def handle_exit(self, *arguments: Any) -> None:
        """See the base class."""
        self.told_at = self.told_at or time.monotonic()
        super().handle_exit(*arguments)

    @property
    def seconds_left(self) -> float:
        """Seconds until the process must have ended."""
        return max(_LEAST_SECONDS, _END_SECONDS - (time.monotonic() - (self.told_at or time.monotonic())))


class _Start:
    """Does the slow part of the start in a thread, while the API listens."""

    def __init__(self, make: Callable[[], Intake], failed: Callable[[], None]) -> None:
        self.intake: Intake | None = None
        self.error: Exception | None = None
        self._make, self._failed = make, failed
        self._thread = threading.Thread(target=self._run, name="start", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            intake = self._make()
            # These objects stay. Without freezing them, every garbage collection would make callers wait.
            gc.collect()
            gc.freeze()
            self.intake = intake
        except Exception as error:
            self.error = error
            self._failed()


def _serve(
    listener: socket.socket,
    seal_seconds: float,
    lookups_per_second: int,
    posts_per_second: int,
    rejected_megabytes: int,
) -> None:
    try:
        verifier = verifier_from_environment(STATE)
    except ConfigurationError as error:
        raise DataError(str(error)) from error
    given = settings()
    most, warning = most_connections()
    if warning:
        _log.warning(warning)
    store = open_store()
    metrics = Metrics()
    published = Published(
        open_predictions(), lambda shop: metrics.predictions(shop.model_version, shop.predicted_at, shop.users)
    )
    s3 = _s3_prefix(given)
    start = _Start(
        lambda: _made_ready(store, published, s3, lambda: _open_landing(given, seal_seconds)),
        lambda: setattr(server, "should_exit", True),
    )
    app = create_app(
        lambda: start.intake,
        store,
        verifier,
        lookups_per_second,
        posts_per_second,
        given.has_docs,
        rejected_megabytes,
        [predictions_routes(published, has_shop=not given.is_production)],
        metrics,
        given.metrics_token or (None if given.is_production else ""),
    )
    # uvicorn's log quotes requests, and the API logs the rest itself.
    server = _Server(
        Config(
            app,
            Connections(most, proxies=given.trusted_proxies),
            given.trusted_proxies,
            given.caller_header,
            log_level="critical",
        )
    )
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup sets
        signal.signal(signal.SIGHUP, lambda *_: server.handle_exit(signal.SIGTERM, None))
    start.begin()
    has_served.set()
    with contextlib.suppress(KeyboardInterrupt):  # how it ends
        server.run([listener])
    published.close()
    _finish(start, server, s3)


def _s3_prefix(given: Settings) -> "S3Prefix | None":
    """What moves landed files from the disk to S3, if they are to be there."""
    folder, url = given.landing
    if given.events_table or not url:
        return None
    # boto3 takes a while to import.
    from retail_warehouse.streaming.s3_prefix import S3Prefix

    return S3Prefix(url, folder, _log.error)


def _open_landing(given: Settings, seal_seconds: float) -> Landing:
    folder, url = given.landing
    table = given.events_table
    if url and table:
        # boto3 takes a while to import.
        from retail_warehouse.streaming.landing_s3 import S3Landing

        return S3Landing(url, table)
    return LandingFolder(folder, _SEAL_BYTES, seal_seconds)


def _made_ready(
    store: ServingStore, published: Published, s3: "S3Prefix | None", open_landing: Callable[[], Landing]
) -> Intake:
    """What takes in rows, once the rules are compiled and the predictions loaded."""
    looking = threading.Thread(target=published.look, name="first look", daemon=True)
    looking.start()
    intake = Intake(Rules(load(Path.cwd())), store, open_landing(), tell=_log.error)
    looking.join()
    published.start()
    if s3:
        s3.start()
    return intake


def _finish(start: "_Start", server: "_Server", s3: "S3Prefix | None") -> None:
    """Hand over what was landed last.

    Raises:
        DataError: It cannot be handed over, or the API could not be made ready.
    """
    if isinstance(start.error, LandingError | StoreError | RulesError | DataError):
        raise DataError(str(start.error)) from start.error
    if start.error:
        raise start.error
    try:
        if start.intake:
            start.intake.close(server.seconds_left)
            if s3:
                s3.stop(server.seconds_left)
    except LandingError as error:
        raise DataError(str(error)) from error

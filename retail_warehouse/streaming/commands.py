"""The commands of the streaming process."""

import contextlib
import csv
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlencode

import click
import requests
from tqdm import tqdm

from retail_warehouse.errors import DataError, told_as_error
from retail_warehouse.project import must_be_here
from retail_warehouse.streaming.micro_batches import Batch, MicroBatches

_ADDRESS = re.compile(r"[\w.-]+:[0-9]+/?")
_STATUS_SECONDS = 10.0  # between lines where they are kept
_FIRST_ROW_SECONDS = 60.0  # until a first row is there to be looked up
# What the API logs of trouble, and what the player tells where it has to send rows again.
_TROUBLE = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) |; again in |^Error: ")


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen at.")
@click.option(
    "--hand-over",
    "seal_seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1),
    help="Seconds after which landed rows are handed to dbt.",
)
@click.option("--lookups", default=500, show_default=True, type=click.IntRange(1), help="Per second and client.")
@click.option("--posts", default=50, show_default=True, type=click.IntRange(1), help="Per second and client.")
@click.option(
    "--rejected", default=64, show_default=True, type=click.IntRange(1), help="MB of rejected rows per hour and client."
)
def serve(host: str, port: int, seal_seconds: float, lookups: int, posts: int, rejected: int) -> None:
    """Serve the API: rows come in, customers look up transactions. Its page is at /docs."""
    from retail_warehouse.serving import service

    try:
        with told_as_error():
            service.serve(host, port, seal_seconds, lookups, posts, rejected)
        status = 0
    except click.ClickException as error:
        if not service.has_run.is_set():
            raise
        error.show()
        status = error.exit_code
    # Whatever threads still wait for, such as a store that does not answer, is left to the next process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@click.command("token")
@click.option("--read", is_flag=True, help="For look-ups.")
@click.option("--write", is_flag=True, help="For sending rows.")
@click.option(
    "--hours", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True), help="How long it lasts."
)
def token(read: bool, write: bool, hours: float) -> None:
    """Print a token of the local issuer, for development; without a flag, for both uses."""
    with told_as_error():
        from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer
        from retail_warehouse.settings import STATE

        must_be_here()  # where the API has its key
        if os.environ.get("COGNITO_ISSUER"):
            raise DataError("COGNITO_ISSUER is set: the API takes tokens of Cognito only.")
        if os.environ.get("RETAIL_WAREHOUSE_ENV") == "production":
            raise DataError("RETAIL_WAREHOUSE_ENV is production: the API takes tokens of Cognito only.")
        scopes = [scope for scope, is_wanted in ((READ, read), (WRITE, write)) if is_wanted] or [READ, WRITE]
        click.echo(LocalIssuer(STATE).token(scopes, hours=hours))


@click.command("stream")
@click.option("--from", "file", required=True, type=click.Path(path_type=Path), help="An Online Retail file.")
@click.option("--to", required=True, help="Address of an API, or a landing folder.")
@click.option("--rate", default=0.0, type=click.FloatRange(0), help="Rows per second; as fast as possible without it.")
@click.option("--batch", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Rows per request.")
@click.option("--again", is_flag=True, help="Start from the first row, even if it was sent before.")
def stream(file: Path, to: str, rate: float, batch: int, again: bool) -> None:
    """Send the rows of a file to the API or a landing folder, from where the last run stopped. An API needs a token in
    RETAIL_WAREHOUSE_TOKEN."""
    with told_as_error():
        from retail_warehouse.settings import STATE
        from retail_warehouse.streaming import player

        player.check(file)
        if not to.startswith(("http://", "https://")) and ("://" in to or _ADDRESS.fullmatch(to) or to.startswith("~")):
            raise DataError(
                f"--to must be an address such as http://127.0.0.1:8000, or a folder, without ~ (now: {to})."
            )
        with contextlib.ExitStack() as stack:
            target: player.Target
            if "://" in to:
                given = os.environ.get("RETAIL_WAREHOUSE_TOKEN", "")
                if not given:
                    raise DataError("Set RETAIL_WAREHOUSE_TOKEN, such as to $(retail-warehouse token --write).")
                target, taken = player.Api(to, given, tqdm.write), "accepted"
            else:
                # Rows are judged where dbt reads them.
                target, taken = stack.enter_context(contextlib.closing(player.Folder(Path(to)))), "landed"
            bookmark = player.Bookmark(STATE, file, target.identity())
            begin = 0 if again else bookmark.row_number
            if begin:
                click.echo(f"Continuing after row {begin:,}; --again starts from the first row.")
            click.echo(f"Reading {file}", err=True)
            count, rows = stack.enter_context(player.rows_of(file, begin))
            bar = stack.enter_context(tqdm(total=count, unit=" rows", unit_scale=True, disable=None))

            def after(part: list[dict], progress: player.Progress) -> None:
                bookmark.set(int(part[-1]["event_id"].rpartition(":")[2]))
                bar.update(progress.sent)

            total = player.play(rows, target, rate, batch, after)
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(total.reasons.items()))
        counts = f"{total.accepted:,} {taken}, {total.duplicate:,} duplicate, {total.rejected:,} rejected"
        click.echo(counts + (f" ({why})" if why else ""))


@click.command("process")
@click.option("--every", default=5.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between looks.")
@click.option("--once", is_flag=True, help="One micro-batch, then end.")
def process(every: float, once: bool) -> None:
    """Run dbt on streamed rows, a micro-batch every few seconds, in one process that stays warm."""
    with told_as_error():
        from retail_warehouse.settings import settings

        folder, url = settings().landing
        batches = MicroBatches(None if url else folder, lambda message: click.echo(message, err=True))

        def tell(batch: Batch) -> None:
            result = f"failed, and is tried again: {batch.problem}"
            if batch.ok:
                result = ", ".join(["ok", *batch.notes])
            click.echo(f"{time.strftime('%H:%M:%S')} {batch.files:,} landed files, {batch.seconds:.1f} s: {result}")
            if batch.ok:
                _publish_deliveries()

        _publish_deliveries()
        if once:
            batch = batches.run()
            if batch:
                tell(batch)
                if not batch.ok:
                    raise SystemExit(1)
            return
        click.echo(f"Looking for landed rows every {every:g} s; Ctrl-C ends it.")
        batches.forever(every, tell)


def _publish_deliveries() -> None:
    """Let look-ups follow what dbt has loaded from files, where a store was made; what goes wrong is told, and done
    after the next batch."""
    from retail_warehouse.serving.publish import publish_deliveries
    from retail_warehouse.serving.service import open_store, store_is_made

    try:
        if store_is_made():
            with contextlib.closing(open_store()) as store:
                publish_deliveries(store, lambda message: click.echo(message, err=True))
    except DataError as error:
        click.echo(f"Look-ups do not know yet what was loaded from files: {error}", err=True)


@click.command("publish")
@click.option(
    "--only",
    is_flag=True,
    help="Also remove what the warehouse does not hold; stop the API and run `process --once` before.",
)
def publish(only: bool) -> None:
    """Fill the store for look-ups from the warehouse, or repair it."""
    with told_as_error():
        from retail_warehouse.serving import publish as publishing
        from retail_warehouse.serving.service import landed_files, open_store

        landed = landed_files() if only else ()
        with contextlib.closing(open_store()) as store, tqdm(unit=" lines", unit_scale=True, disable=None) as bar:
            count = publishing.publish(store, only, lambda lines: bar.update(lines - bar.n) and None, landed)
        click.echo(f"{count:,} lines can be looked up")


@click.command("live")
@click.option("--from", "file", required=True, type=click.Path(path_type=Path), help="The Online Retail file to play.")
@click.option(
    "--rate", default=200.0, show_default=True, type=click.FloatRange(0), help="Rows per second; 0: no limit."
)
@click.option(
    "--every", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between micro-batches."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port of the API.")
@click.option("--until-done", is_flag=True, help="End when every row has arrived in the marts.")
def live(file: Path, rate: float, every: float, port: int, until_done: bool) -> None:
    """Run it all until Ctrl-C: the API, a player and dbt."""
    with told_as_error():
        from retail_warehouse.serving.service import listen
        from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer
        from retail_warehouse.settings import STATE, settings
        from retail_warehouse.streaming import player
        from retail_warehouse.streaming.landing_folder import make_private

        player.check(file)
        folder, url = settings().landing
        listen("127.0.0.1", port).close()  # before it takes long to build
        batches = MicroBatches(None if url else folder, click.echo)
        tools = [sys.executable, "-m", "retail_warehouse"]
        url = f"http://127.0.0.1:{port}"
        issuer = LocalIssuer(STATE)
        environment = {**os.environ, "RETAIL_WAREHOUSE_TOKEN": issuer.token([WRITE], hours=24)}
        log = STATE / f"live-{secrets.token_hex(3)}.log"
        with contextlib.ExitStack() as stack:
            make_private(log)
            output = stack.enter_context(log.open("w"))
            listen("127.0.0.1", port).close()
            _end_by_signals(stack)
            api = _start([*tools, "serve", "--port", str(port)], environment, output)
            stack.callback(_end, api)
            _wait_for(url, api, log)
            play = [*tools, "stream", "--from", str(file), "--to", url, "--rate", str(rate), "--batch", "200"]
            playing = _start(play, environment, output)
            stack.callback(_end, playing)
            header = STATE / "look-ups.header"
            make_private(header)
            header.write_text(f"Authorization: Bearer {issuer.token([READ], hours=24)}\n", encoding="utf-8")
            click.echo(f"The API is at {url}/docs; what it and the player tell is in {log}. Look up, for a day, with")
            found = _first_found(folder, url, header, playing) or ("...", "...")
            query = urlencode(dict(zip(("InvoiceNo", "StockCode"), found, strict=True)), safe=".")
            click.echo(f"  curl -H @{header} '{url}/transactions?{query}'")
            status = _Status(folder, log)

            def count(batch: Batch) -> None:
                status.count(batch)
                if batch.ok:
                    _publish_deliveries()

            def is_over() -> bool:
                if playing.poll() == 0:
                    status.played = file.name
                # Nothing more comes where one of them is gone, unless the player is done with its file.
                return api.poll() is not None or bool(playing.poll()) or (until_done and playing.poll() is not None)

            with status:
                batches.forever(every, count, until=is_over)
            has_failed = api.poll() is not None or bool(playing.poll())
            # The player first, which would wait for the API. That hands over the last rows when it ends.
            _end(playing)
            _end(api)
            last = batches.run()
            if last:
                status.count(last)
            click.echo(status.line())
            if has_failed:
                raise DataError(f"The API or the player has ended; {log} says why:\n{_tail(log)}")
            if last and not last.ok:
                raise DataError(f"dbt failed: {last.problem}")


def _start(command: list[str], environment: dict[str, str], output) -> subprocess.Popen:
    # In a group of its own: Ctrl-C reaches this process alone, which ends the others in order.
    return subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)


def _end(started: subprocess.Popen) -> None:
    if started.poll() is None:
        started.terminate()  # an interrupt is ignored by what was started in the background of a script
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()


def _end_by_signals(stack: contextlib.ExitStack) -> None:
    """Let the signals that end this process, as when its terminal is closed, end what it has started too."""

    def leave(*_: object) -> None:
        raise SystemExit(1)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            stack.callback(signal.signal, number, signal.signal(number, leave))


def _first_found(folder: Path, url: str, header: Path, playing: subprocess.Popen) -> tuple[str, str] | None:
    """Invoice and stock code of a row that has come in and can be looked up; none where there is none."""
    name, _, text = header.read_text(encoding="utf-8").strip().partition(": ")
    deadline = time.monotonic() + _FIRST_ROW_SECONDS
    is_last = False
    while not is_last and time.monotonic() < deadline:
        is_last = playing.poll() is not None
        for key in _keys_of_landed(folder):
            with contextlib.suppress(requests.RequestException):
                asked = dict(zip(("InvoiceNo", "StockCode"), key, strict=True))
                if requests.get(f"{url}/transactions", asked, headers={name: text}, timeout=5).ok:
                    return key
        time.sleep(0.2)
    return None


def _keys_of_landed(folder: Path, most: int = 20) -> list[tuple[str, str]]:
    """Invoices and stock codes of the first landed rows, accepted or not."""
    found = []
    for path in (*folder.glob(".open/*"), *folder.glob("day=*/*.ndjson")):
        with contextlib.suppress(OSError, ValueError, KeyError, csv.Error), path.open(encoding="utf-8") as file:
            for line in itertools.islice(file, most):
                for fields in csv.reader([json.loads(line)["line"]]):
                    found.append((fields[0], fields[1])) if len(fields) > 1 else None
        if found:
            break
    return found[:most]


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1000:]


def _wait_for(url: str, api: subprocess.Popen, log: Path) -> None:
    while api.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/health", timeout=1).ok:
                return
        time.sleep(0.1)
    raise DataError(f"The API does not start:\n{_tail(log)}")


class _Status:
    """The status line, rewritten every second on a terminal, and otherwise written now and then."""

    def __init__(self, landing: Path, log: Path) -> None:
        self.played = ""  # name of the file, once all of its rows were sent
        self._tells_played = True
        self._log, self._log_read = log, 0
        self._trouble: tuple[float, str] | None = None  # when it was found, and what it is
        self._index = landing / ".index.sqlite"
        self._processed = self._rejected = self._set_aside = 0
        # When how many rows had come in; the first that are not processed yet tell the lag.
        self._came_in: deque[tuple[float, int]] = deque(maxlen=10_000)
        self._last = "none yet"
        self._rewrites = sys.stdout.isatty()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._rewrites:
            click.echo()

    def count(self, batch: Batch) -> None:
        """Note what a batch has done."""
        self._last = f"{batch.seconds:.1f} s" if batch.ok else f"failed: {batch.problem[:200]}"
        if batch.ok:
            self._processed, self._rejected, self._set_aside = batch.lines, batch.rejected, batch.set_aside

    def _write(self) -> None:
        while not self._ends.wait(1.0 if self._rewrites else _STATUS_SECONDS):
            if self.played and self._tells_played:
                self._tells_played = False
                click.echo(f"{self._clear()}{self.played} is played: all of its rows were sent. Ctrl-C ends it all.")
            if self._rewrites:
                width = shutil.get_terminal_size().columns - 1
                click.echo("\r" + self.line()[:width].ljust(width), nl=False)
            else:
                click.echo(self.line())

    def _clear(self) -> str:
        return "\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r" if self._rewrites else ""

    def _last_trouble(self) -> str:
        """The last error that the API or the player has told."""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(self._log_read)
            lines = file.read().splitlines(keepends=True)
            for line in lines:
                if line.endswith(b"\n"):
                    self._log_read += len(line)
                    text = line.decode(errors="replace").strip()
                    if _TROUBLE.search(text):
                        self._trouble = time.monotonic(), text
        if not self._trouble:
            return ""
        return f", {time.monotonic() - self._trouble[0]:.0f} s ago: {self._trouble[1][:300]}"

    def line(self) -> str:
        """Rows that came in, were processed and rejected, for how long the oldest has waited, the last batch, and the
        last error of API and player."""
        rows = 0
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._index)) as index:
            [rows] = index.execute("select count(*) from events").fetchone()
        now = time.monotonic()
        while self._came_in and self._came_in[0][1] <= self._processed:
            self._came_in.popleft()
        if rows > self._processed and (not self._came_in or rows > self._came_in[-1][1]):
            self._came_in.append((now, rows))
        lag = now - self._came_in[0][0] if self._came_in else 0.0
        aside = f"{self._set_aside:,} set aside, " if self._set_aside else ""
        return (
            f"{rows:,} rows in, {self._processed:,} processed, {self._rejected:,} rejected, {aside}lag {lag:.0f} s, "
            f"last batch {self._last}{self._last_trouble()}"
        )


COMMANDS = (serve, token, stream, process, publish, live)

"""Runs the API, a player and dbt at once, for a first look, until Ctrl-C."""

import contextlib
import csv
import itertools
import json
import os
import re
import secrets
import shutil
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

from retail_warehouse import background
from retail_warehouse.errors import DataError
from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer
from retail_warehouse.settings import STATE, settings
from retail_warehouse.streaming import player
from retail_warehouse.streaming.following import follow_deliveries
from retail_warehouse.streaming.landing_folder import make_private
from retail_warehouse.streaming.micro_batches import Batch, MicroBatches

_STATUS_SECONDS = 10.0  # between lines where they are kept
_FIRST_ROW_SECONDS = 60.0  # until a first row is there to be looked up
# What the API logs of trouble, and what the player tells where it has to send rows again.
_TROUBLE = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) |; again in |^Error: ")
_TOOL = (sys.executable, "-m", "retail_warehouse")


def run(file: Path, rate: float, every: float, port: int, until_done: bool) -> None:
    """Start the API and a player, run micro-batches, and print how far they are.

    Args:
        file: The Online Retail file to play.
        rate: Rows per second; 0 for no limit.
        every: Seconds between micro-batches.
        port: Port of the API.
        until_done: End when every row has arrived in the marts.

    Raises:
        DataError: Something cannot be started or has ended, or dbt failed; the text says what to do.
    """
    player.check(file)
    folder, s3 = settings().landing
    background.listen("127.0.0.1", port).close()  # before it takes long to build
    batches = MicroBatches(None if s3 else folder, click.echo)
    url = f"http://127.0.0.1:{port}"
    issuer = LocalIssuer(STATE)
    environment = {**os.environ, "RETAIL_WAREHOUSE_TOKEN": issuer.token([WRITE], hours=24)}
    log = STATE / f"live-{secrets.token_hex(3)}.log"
    with contextlib.ExitStack() as stack:
        make_private(log)
        output = stack.enter_context(log.open("w"))
        background.listen("127.0.0.1", port).close()
        background.end_by_signals(stack)
        api = background.start([*_TOOL, "serve", "--port", str(port)], environment, output)
        stack.callback(background.end, api)
        background.wait_until_ready(url, api, log)
        play = [*_TOOL, "stream", "--from", str(file), "--to", url, "--rate", str(rate), "--batch", "200"]
        playing = background.start(play, environment, output)
        stack.callback(background.end, playing)
        click.echo(f"The API is at {url}/docs; what it and the player tell is in {log}. Look up, for a day, with")
        click.echo(f"  {_example(folder, url, issuer, playing)}")
        status = Status(folder, log)
        with status:
            _process(batches, every, status, api, playing, file.name, until_done)
        _finish(batches, status, api, playing, log)


def _example(folder: Path, url: str, issuer: LocalIssuer, playing: subprocess.Popen) -> str:
    """A command that looks up a row which has come in."""
    header = STATE / "look-ups.header"
    make_private(header)
    header.write_text(f"Authorization: Bearer {issuer.token([READ], hours=24)}\n", encoding="utf-8")
    found = _first_found(folder, url, header, playing) or ("...", "...")
    query = urlencode(dict(zip(("InvoiceNo", "StockCode"), found, strict=True)), safe=".")
    return f"curl -H @{header} '{url}/transactions?{query}'"


def _process(
    batches: MicroBatches,
    every: float,
    status: "Status",
    api: subprocess.Popen,
    playing: subprocess.Popen,
    file_name: str,
    until_done: bool,
) -> None:
    """Run micro-batches until a signal, or until no more rows can come."""

    def count(batch: Batch) -> None:
        status.count(batch)
        if batch.ok:
            follow_deliveries()

    def is_over() -> bool:
        if playing.poll() == 0:
            status.played = file_name
        # If the API or the player has ended, no more rows come, unless the player has finished its file.
        return api.poll() is not None or bool(playing.poll()) or (until_done and playing.poll() is not None)

    batches.forever(every, count, until=is_over)


def _finish(
    batches: MicroBatches, status: "Status", api: subprocess.Popen, playing: subprocess.Popen, log: Path
) -> None:
    """Stop the player and the API, build the rows that were landed last, and report how it ended.

    Raises:
        DataError: One of them had ended by itself, or dbt failed.
    """
    has_failed = api.poll() is not None or bool(playing.poll())
    # The player first, since it would wait for the API. The API hands over the last rows when it ends.
    background.end(playing)
    background.end(api)
    last = batches.run()
    if last:
        status.count(last)
    click.echo(status.line())
    if has_failed:
        raise DataError(f"The API or the player has ended; {log} says why:\n{background.tail(log)}")
    if last and not last.ok:
        raise DataError(f"dbt failed: {last.problem}")


def _first_found(folder: Path, url: str, header: Path, playing: subprocess.Popen) -> tuple[str, str] | None:
    """Invoice and stock code of a row that has come in and can be looked up; none where there is none."""
    name, _, text = header.read_text(encoding="utf-8").strip().partition(": ")
    deadline = time.monotonic() + _FIRST_ROW_SECONDS
    is_last = False
    while not is_last and time.monotonic() < deadline:
        is_last = playing.poll() is not None
        for key in keys_of_landed(folder):
            with contextlib.suppress(requests.RequestException):
                asked = dict(zip(("InvoiceNo", "StockCode"), key, strict=True))
                if requests.get(f"{url}/transactions", asked, headers={name: text}, timeout=5).ok:
                    return key
        time.sleep(0.2)
    return None


def keys_of_landed(folder: Path, most: int = 20) -> list[tuple[str, str]]:
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


class Status:
    """The status line. On a terminal it is rewritten every second, otherwise it is printed every few seconds."""

    def __init__(self, landing: Path, log: Path) -> None:
        """Tell nothing yet.

        Args:
            landing: The landing folder.
            log: What the API and the player print.
        """
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
        """Begin to write the line."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """End with it."""
        self._ends.set()
        self._thread.join()
        if self._rewrites:
            click.echo()

    def count(self, batch: Batch) -> None:
        """Record the result of a batch."""
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
        """The last error that the API or the player has printed."""
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
        """The text of the line: rows in, processed and rejected, the age of the oldest row that waits, the last batch,
        and the last error."""
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

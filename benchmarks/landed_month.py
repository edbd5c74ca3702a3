"""Lands a month of files in fast motion, and measures what a micro-batch of three new files costs on the way.

    python benchmarks/landed_month.py                 # 100,000 files
    python benchmarks/landed_month.py --month         # 1,296,000 files: one every two seconds for thirty days
    python benchmarks/landed_month.py --unmerged      # 10,000 files, as it was when none were merged

Files are landed by thousands, entered into the ledger as if dbt had processed them, and merged by the code that merges
them in a micro-batch. At each point dbt builds the warehouse from what is there, and runs micro-batches, which are
measured. Every figure has to stay near that of the first point.
"""

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import duckdb
import psutil

from retail_warehouse.streaming import merging
from retail_warehouse.streaming.merging import Folder, Merging
from retail_warehouse.streaming.micro_batches import MicroBatches

PROJECT = Path(__file__).parents[1]
SAMPLE = PROJECT / "seeds/samples/online_retail/data.csv"
MONTH = 30 * 24 * 60 * 30
POINTS = (30, 1_000, 10_000, 100_000, 400_000, MONTH)
NEW_FILES = 3
BATCHES = 7
CHUNK = 4_096
START = datetime(2026, 10, 1, tzinfo=UTC)
FULL = ("--selector", "micro_batch", "--full-refresh")


@dataclass(frozen=True)
class Point:
    """What is measured after some files.

    Args:
        landed: Files that were landed in all.
        files: Files that there are.
        ledger: Rows of the ledger.
        seconds: Median of a micro-batch.
        cpu: The same in seconds of CPU.
        memory: Most that a micro-batch takes, in MB.
        bytes_per_row: Of the landing folder.
        warehouse: Bytes of the warehouse per row.
    """

    landed: int
    files: int
    ledger: int
    seconds: float
    cpu: float
    memory: float
    bytes_per_row: float
    warehouse: float


class Landing:
    """Lands files of one till each, as the API does: one row in each, a file every two seconds."""

    def __init__(self, folder: Path) -> None:
        """Begin a month."""
        self._folder = folder
        self._lines = itertools.cycle(SAMPLE.read_text(encoding="latin-1").splitlines()[1:])
        self.count = 0

    def land(self, files: int) -> dict[str, int]:
        """Land files, and return their names with their sizes."""
        landed = {}
        for _ in range(files):
            at = START + timedelta(seconds=2 * self.count)
            fields = next(self._lines).split(",")
            # An invoice has about twenty lines, as in the official file.
            fields[0] = str(600_000 + self.count // 20)
            row = {
                "event_id": f"till-1/{at:%Y-%m-%d}:{self.count + 2}",
                "landing_position": 1,
                "line": ",".join(fields),
            }
            text = json.dumps(row) + "\n"
            name = f"day={at:%Y-%m-%d}/{at:%Y%m%dT%H%M%S%f}-1-{self.count:08x}.ndjson"
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            landed[name] = len(text)
            self.count += 1
        return landed


def enter(warehouse: Path, landed: dict[str, int], models: list[str], settings: str) -> None:
    """Enter files into the ledger, as the hooks of the models do."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into audit.processed_files select model_name, 'online_retail', 'streamed_lines', file_name, "
            "fingerprint, 'utf-8', now()::timestamp, null, null from (select unnest($1) as file_name, "
            "unnest($2) as fingerprint) cross join (select unnest($3) as model_name)",
            [list(landed), [f"{size} bytes{settings}" for size in landed.values()], models],
        )


class Peak:
    """The most memory of this process within, in MB."""

    def __enter__(self) -> "Peak":
        """Begin."""
        self.megabytes, self._ends = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._ends.wait(0.02):
            self.megabytes = max(self.megabytes, process.memory_info().rss / 1e6)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ends.set()
        self._thread.join()


def measure(points: list[int], folder: Path) -> Iterator[Point]:
    """Land files up to each point, and measure there."""
    landing, warehouse = folder / "landing", folder / "warehouse.duckdb"
    (folder / "data").mkdir()
    shutil.copy(SAMPLE, folder / "data" / "data.csv")
    shutil.copy(PROJECT / "profiles.yml.example", folder / "profiles.yml")
    os.environ |= {
        "DBT_PROFILES_DIR": str(folder),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "WAREHOUSE_PATH": str(warehouse),
        "ONLINE_RETAIL_DATA": str(folder / "data"),
        "ONLINE_RETAIL_LANDING": str(landing),
    }
    os.chdir(PROJECT)
    month = Landing(landing)
    month.land(1)
    batches = MicroBatches(landing, print)
    models, settings = _ledger(warehouse)
    work = Merging(Folder(landing), models)
    build = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--quiet", *FULL]
    for point in points:
        while month.count < point:
            enter(warehouse, month.land(min(CHUNK, point - month.count)), models, settings)
            while work.step(warehouse).made:
                pass
        # The rows of what was landed, in a process of its own: how much memory that takes is another question.
        subprocess.run(build, cwd=PROJECT, env={**os.environ, "DBT_TARGET_PATH": str(folder / "built")}, check=True)
        yield _measured(month, batches, landing, warehouse)


def _ledger(warehouse: Path) -> tuple[list[str], str]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select model_name, fingerprint from audit.processed_files where table_name = 'streamed_lines'"
        ).fetchall()
    return [model for model, _ in rows], rows[0][1].partition(" bytes")[2]


def _measured(month: Landing, batches: MicroBatches, landing: Path, warehouse: Path) -> Point:
    seconds, cpu = [], []
    with Peak() as peak:
        for _ in range(BATCHES):
            month.land(NEW_FILES)
            start, cpu_start = time.perf_counter(), time.process_time()
            batch = batches.run()
            assert batch, "nothing was landed"
            assert batch.ok, batch.problem
            assert not batch.not_merged, batch.not_merged
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
    assert batch.lines == month.count, f"{batch.lines} of {month.count} rows"
    files = [path for path in landing.rglob("*") if path.is_file()]
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        [(entries,)] = connection.execute(
            "select count(*) from audit.processed_files where table_name = 'streamed_lines'"
        ).fetchall()
    return Point(
        month.count,
        len(files),
        entries,
        statistics.median(seconds),
        statistics.median(cpu),
        peak.megabytes,
        sum(path.stat().st_size for path in files) / month.count,
        warehouse.stat().st_size / month.count,
    )


def told(points: list[Point]) -> str:
    """The figures as a table, each beside its ratio to the first point."""
    first = points[0]

    def with_ratio(figure: float, of_first: float, text: str) -> str:
        return f"{text.format(figure)} ({figure / of_first:.2f})"

    lines = [
        "| landed files | files there | rows of the ledger | batch | CPU of it | memory | bytes per landed row |",
        "|---|---|---|---|---|---|---|",
    ]
    for point in points:
        cells = (
            f"{point.landed:,}",
            f"{point.files:,}",
            f"{point.ledger:,}",
            with_ratio(point.seconds, first.seconds, "{:.2f} s"),
            with_ratio(point.cpu, first.cpu, "{:.2f} s"),
            with_ratio(point.memory, first.memory, "{:,.0f} MB"),
            with_ratio(point.bytes_per_row, first.bytes_per_row, "{:,.0f}"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--files", default=100_000, show_default=True, type=click.IntRange(30), help="Files that are landed.")
@click.option("--month", is_flag=True, help=f"{MONTH:,} files.")
@click.option("--unmerged", is_flag=True, help="10,000 files, and none are merged.")
@click.option("--keep", type=click.Path(path_type=Path), help="A new folder that stays, for `stream.py --after`.")
def main(files: int, month: bool, unmerged: bool, keep: Path | None) -> None:
    """See the text above."""
    most = MONTH if month else 10_000 if unmerged else files
    if unmerged:
        merging._TOGETHER = sys.maxsize
    points = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)).resolve()
        folder.mkdir(exist_ok=True)
        for point in measure([*(point for point in POINTS if point < most), most], folder):
            points.append(point)
            click.echo(f"{time.perf_counter() - start:,.0f} s: {point}", err=True)
    click.echo(told(points))


if __name__ == "__main__":
    main()

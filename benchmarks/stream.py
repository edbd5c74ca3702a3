"""Plays a whole Online Retail file through the API, with or without faults, and compares the warehouse row by row with
one that was loaded in bulk.

    python benchmarks/stream.py ~/online_retail/data.csv.gz            # how fast it is
    python benchmarks/stream.py ~/online_retail/data.csv.gz --kill     # that nothing is lost or counted twice
    python benchmarks/landed_month.py --month --keep month
    python benchmarks/stream.py ~/online_retail/data.csv.gz --rate 5000 --after month

The rows are shuffled within a window, and 5 % of them are sent twice. With --kill the API, the player and dbt are each
killed once on the way. tests/python/streaming/test_streaming.py does the same with a small file.
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import duckdb
import psutil
import requests

from retail_warehouse.cli import main as tool
from retail_warehouse.serving.tokens import WRITE, LocalIssuer
from retail_warehouse.settings import STATE
from retail_warehouse.streaming import player
from retail_warehouse.streaming.merging import Merged, Merging

PROJECT = Path(__file__).parents[1]
WINDOW = 5_000
REPEATED = 0.05
SEED = 7
BUILD = ("build", "--selector", "online_retail", "--exclude-resource-type", "unit_test", "test")
# What the rows of a stream and of a file end in.
COMPARED = """
    select table_schema || '.' || table_name from information_schema.tables
    where table_catalog = current_database() and (table_schema = 'online_retail' or table_name in (
        'rejected_rows', 'row_reconciliation', 'int_invoice_lines_classified', 'int_invoice_lines_rejected'
    ))
    order by all
"""


@dataclass
class Result:
    """The figures of a run.

    Args:
        rows: Rows sent, repeated ones included.
        seconds: From the first request to the last answer.
        latencies: Seconds of each request.
        lags: Seconds from the first row of each landed file to the marts that hold it.
        memory: Peak memory of API, player and dbt together, in MB.
        batches: Seconds of the micro-batches.
        differences: Rows that stand in one of the two warehouses only, by relation.
        compared: Relations.
        killed: Processes that were killed.
    """

    rows: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    memory: float = 0.0
    batches: list[float] = field(default_factory=list)
    differences: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    killed: list[str] = field(default_factory=list)


def disturbed(rows: Iterable[dict]) -> Iterator[dict]:
    """Rows in another order within a window, some of them twice. Every call gives the same."""
    chance = random.Random(SEED)
    source = iter(rows)
    while part := list(itertools.islice(source, WINDOW)):
        part += chance.sample(part, round(REPEATED * len(part)))
        chance.shuffle(part)
        yield from part


class Process:
    """A process of the loop, which is started again when it was killed."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Start it; its output is added to the log."""
        self.command, self._environment, self._log = command, environment, log
        self.start()

    def start(self) -> None:
        """Start it, once more if it has ended."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it and everything that it has started, like a power cut."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it like Ctrl-C does, by the signal that a script's background processes do not ignore."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)

    def memory(self) -> float:
        """Memory of it and of everything that it has started, in MB."""
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.process.pid)
            return sum(one.memory_info().rss for one in (top, *top.children(recursive=True))) / 1e6
        return 0.0


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment_of(file: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Make a folder for everything that is written, and return the environments of a stream and of a bulk load."""
    (folder / "empty").mkdir(parents=True)
    with duckdb.connect() as connection:
        [(header,)] = connection.execute(
            "select line from read_csv($1, columns = {'line': 'varchar'}, auto_detect = false, header = false, "
            "delim = '\\x1e', quote = '', encoding = 'latin-1') limit 1",
            [str(file)],
        ).fetchall()
    (folder / "empty" / "header.csv").write_text(header.lstrip("\ufeff") + "\n")
    (folder / "bulk" / "data").mkdir(parents=True)
    (folder / "stream").mkdir()
    (folder / "bulk" / "data" / file.name).symlink_to(file.resolve())
    shutil.copy(PROJECT / "profiles.yml.example", folder / "profiles.yml")
    landing = folder / "landing"
    environment = {
        **os.environ,
        "DBT_PROFILES_DIR": str(folder),
        "DBT_LOG_PATH": str(folder / "logs"),
        "SERVING_STORE": str(folder / "serving.sqlite"),
        "RETAIL_WAREHOUSE_TOKEN": LocalIssuer(PROJECT / STATE).token([WRITE], hours=24),
    }
    stream = {
        **environment,
        "WAREHOUSE_PATH": str(folder / "stream" / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(folder / "stream" / "target"),
        "ONLINE_RETAIL_DATA": str(folder / "empty"),
        "ONLINE_RETAIL_LANDING": str(landing),
    }
    bulk = {
        **environment,
        "WAREHOUSE_PATH": str(folder / "bulk" / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(folder / "bulk" / "target"),
        "ONLINE_RETAIL_DATA": str(folder / "bulk" / "data"),
    }
    return {"stream": stream, "bulk": bulk}


def build(environment: dict[str, str]) -> None:
    """Build the tables of Online Retail by a process of dbt.

    Raises:
        subprocess.CalledProcessError: dbt has failed, and has told why.
    """
    dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet"]
    subprocess.run([*dbt, *BUILD], cwd=PROJECT, env=environment, check=True)


def run(
    file: Path,
    folder: Path,
    kill: bool,
    batch: int = 1_000,
    every: float = 2.0,
    rate: float = 0,
    after: Path | None = None,
) -> Result:
    """Stream a file, load it in bulk, and compare.

    Args:
        file: An Online Retail file.
        folder: For everything that is written.
        kill: Kill API, player and dbt once each.
        batch: Rows per request.
        every: Seconds between micro-batches.
        rate: Rows per second; 0 for as many as are taken.
        after: What `landed_month.py --keep` has left; the rows come to those that are there, and nothing is compared.
    """
    result = Result()
    environments = environment_of(file, folder)
    stream = environments["stream"]
    if after:
        stream |= {
            "WAREHOUSE_PATH": str(after.resolve() / "warehouse.duckdb"),
            "ONLINE_RETAIL_DATA": str(after.resolve() / "data"),
            "ONLINE_RETAIL_LANDING": str(after.resolve() / "landing"),
        }
        _stream(file, folder, stream, kill, batch, every, rate, result)
        return result
    for warehouse in environments.values():
        build(warehouse | {"ONLINE_RETAIL_LANDING": ""})
    _stream(file, folder, stream, kill, batch, every, rate, result)
    _compare(folder, result)
    return result


def _stream(
    file: Path,
    folder: Path,
    environment: dict[str, str],
    kill: bool,
    batch: int,
    every: float,
    rate: float,
    result: Result,
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    serve = [sys.executable, "-m", "retail_warehouse", "serve", "--port", url.rpartition(":")[2], "--posts", "10000"]
    play = [sys.executable, __file__, str(file), "--play", url, "--folder", str(folder), "--batch", str(batch)]
    play += ["--rate", str(rate)]
    api = Process(serve, environment, folder / "api.log")
    batches = [sys.executable, __file__, str(file), "--process", "--folder", str(folder), "--every", str(every)]
    dbt = Process(batches, environment, folder / "dbt.log")
    sender = None
    peak = threading.Event()

    def watch() -> None:
        while not peak.wait(0.2):
            everybody = (one for one in (api, dbt, sender) if one)
            result.memory = max(result.memory, sum(one.memory() for one in everybody))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        wait_for(url, api)
        while "Looking for landed rows" not in (folder / "dbt.log").read_text() and dbt.process.poll() is None:
            time.sleep(0.1)
        sender = Process(play, environment, folder / "player.log")
        moments = {0.25: ("API", api), 0.5: ("player", sender), 0.7: ("dbt", dbt)} if kill else {}
        while sender.process.poll() is None:
            share = _progress(folder)
            for moment, (name, process) in list(moments.items()):
                if share >= moment:
                    process.kill()
                    result.killed.append(name)
                    process.start()
                    del moments[moment]
            time.sleep(0.02)
        assert sender.process.returncode == 0, (folder / "player.log").read_text()[-2000:]
        api.stop()
        dbt.stop()
    finally:
        peak.set()
        watcher.join()
        for one in (sender, dbt, api):
            if one and one.process.poll() is None:
                one.kill()
    batches.append("--once")
    last = subprocess.run(batches, cwd=PROJECT, env=environment, check=True, capture_output=True, text=True)
    _read_logs(folder, last.stdout, result)


def _read_logs(folder: Path, last: str, result: Result) -> None:
    told = (folder / "dbt.log").read_text() + last
    result.batches = [float(line.split("files, ")[1].split(" s")[0]) for line in told.splitlines() if "files, " in line]
    began = float("inf")
    for line in (folder / "requests.jsonl").read_text().splitlines():
        start, seconds, rows = json.loads(line)
        result.rows += rows
        result.latencies.append(seconds)
        began = min(began, start)
        result.seconds = max(result.seconds, start + seconds - began)
    lags = {}
    for line in (folder / "processed.jsonl").read_text().splitlines():
        name, processed_at = json.loads(line)
        landed = datetime.strptime(Path(name).name.partition("-")[0], "%Y%m%dT%H%M%S%f")
        if landed.replace(tzinfo=UTC).timestamp() >= began:  # not what was there before
            lags.setdefault(name, (datetime.fromisoformat(processed_at) - landed).total_seconds())
    result.lags = list(lags.values())


def process(folder: Path, every: float, once: bool) -> None:
    """What dbt of the benchmark does: the tool's own micro-batches. It also notes when the marts held each landed file,
    before the file is merged."""
    os.chdir(PROJECT)
    merge = Merging.step
    noted: set[str] = set()

    def step(self: Merging, warehouse: Path) -> Merged:
        with contextlib.suppress(duckdb.IOException), duckdb.connect(str(warehouse), read_only=True) as connection:
            found = connection.execute(
                "select file_name, max(processed_at)::varchar from audit.processed_files where table_name = "
                "'streamed_lines' and model_name in ('transactions', 'fct_sales', 'fct_cancellations', 'invoices') "
                "and file_name not like '%.merged-%' group by file_name having count(*) = 4"
            ).fetchall()
            with (folder / "processed.jsonl").open("a") as log:
                log.writelines(json.dumps(one) + "\n" for one in found if one[0] not in noted)
            noted.update(name for name, _ in found)
        return merge(self, warehouse)

    Merging.step = step  # type: ignore[method-assign]
    tool(["process", "--once"] if once else ["process", "--every", str(every)])


def wait_for(url: str, api: Process) -> None:
    """Return once the API answers.

    Raises:
        RuntimeError: It has ended.
    """
    while api.process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/ready", timeout=1).ok:
                return
        time.sleep(0.05)
    raise RuntimeError("The API does not start.")


def _progress(folder: Path) -> float:
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        state = json.loads((folder / "played.json").read_text())
        return state["sent"] / state["of"]
    return 0.0


def _compare(folder: Path, result: Result) -> None:
    with duckdb.connect(str(folder / "stream" / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute(f"attach '{folder / 'bulk' / 'warehouse.duckdb'}' as bulk (read_only)")
        for (name,) in connection.execute(COMPARED).fetchall():
            # Not the empty file, without which the folder of files would be wrong.
            condition = "where file_name <> 'header.csv'" if name == "audit.row_reconciliation" else ""
            ours, theirs = f"select * from {name} {condition}", f"select * from bulk.{name}"
            [(count,)] = connection.execute(
                f"select count(*) from (({ours} except all {theirs}) union all ({theirs} except all {ours}))"
            ).fetchall()
            result.compared += 1
            if count:
                result.differences[name] = count


def play(file: Path, url: str, folder: Path, batch: int, rate: float) -> None:
    """The player of the benchmark: the tool's own, on disturbed rows."""
    state = folder / "played.json"
    begin = json.loads(state.read_text())["sent"] if state.exists() else 0
    os.chdir(PROJECT)
    with player.rows_of(file) as (_, rows), (folder / "requests.jsonl").open("a", buffering=1) as log:
        sequence = list(disturbed(rows))
        sent = begin

        class Timed(player.ApiTarget):
            def send(self, rows: list[dict]) -> player.Progress:
                start = time.time()
                progress = super().send(rows)
                log.write(json.dumps([start, time.time() - start, len(rows)]) + "\n")
                return progress

        def after(part: list[dict], _: player.Progress) -> None:
            nonlocal sent
            sent += len(part)
            new = state.with_suffix(".new")
            new.write_text(json.dumps({"sent": sent, "of": len(sequence)}))
            new.replace(state)

        api = Timed(url, os.environ["RETAIL_WAREHOUSE_TOKEN"], print)
        player.play(sequence[begin:], api, rate, batch, after)


def told(result: Result) -> str:
    """The figures as lines of text."""
    latencies = statistics.quantiles(result.latencies, n=100) if len(result.latencies) > 1 else [0.0] * 99
    return "\n".join(
        (
            f"{result.compared - len(result.differences)} of {result.compared} relations equal those of the bulk load"
            if result.compared
            else "not compared with a bulk load, which lacks what was landed before",
            *(f"  {name}: {count:,} rows differ" for name, count in result.differences.items()),
            f"killed on the way: {', '.join(result.killed) or 'nobody'}",
            f"{result.rows:,} rows in {result.seconds:.1f} s: {result.rows / result.seconds:,.0f} rows per second",
            f"acknowledgement of a request: median {1000 * latencies[49]:.0f} ms, p99 {1000 * latencies[98]:.0f} ms",
            f"lag from POST to mart: median {statistics.median(result.lags):.1f} s, most {max(result.lags):.1f} s",
            f"{len(result.batches)} micro-batches: median {statistics.median(result.batches):.1f} s, "
            f"most {max(result.batches):.1f} s",
            f"peak memory of API, player and dbt together: {result.memory:,.0f} MB",
        )
    )


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kill", is_flag=True, help="Kill API, player and dbt once each.")
@click.option("--batch", default=1_000, show_default=True, help="Rows per request.")
@click.option("--every", default=2.0, show_default=True, help="Seconds between micro-batches.")
@click.option("--rate", default=0.0, help="Rows per second; as many as are taken without it.")
@click.option("--after", type=click.Path(exists=True, path_type=Path), help="What `landed_month.py --keep` has left.")
@click.option("--play", "url", hidden=True)
@click.option("--process", "processes", is_flag=True, hidden=True)
@click.option("--once", is_flag=True, hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(
    file: Path,
    kill: bool,
    batch: int,
    every: float,
    rate: float,
    after: Path | None,
    url: str | None,
    processes: bool,
    once: bool,
    folder: Path | None,
) -> None:
    """See the text above."""
    if folder and processes:
        process(folder, every, once)
        return
    if folder and url:
        play(file, url, folder, batch, rate)
        return
    with tempfile.TemporaryDirectory() as scratch:
        result = run(file, Path(scratch) / "run", kill, batch, every, rate, after)
    click.echo(told(result))
    sys.exit(1 if result.differences else 0)


if __name__ == "__main__":
    main()

"""Measures the whole project at full size against a plain DuckDB script and against reading the files once.

`make bench` runs it. Every figure is a ratio of two things timed in the same run, in turns; seconds only describe the
machine. The tables of both are compared row by row, so that the baseline cannot become fast by being wrong.
"""

import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import duckdb
import psutil
from tqdm import tqdm

from retail_warehouse.generate import instacart, online_retail

HERE = Path(__file__).parent
PROJECT = HERE.parent
FULL_SIZE_USERS = 206_209
FULL_SIZE_INVOICES = 25_900
SHARES = (0.1, 0.3, 1.0)
BUILD = ("build", "--exclude-resource-type", "unit_test")
SCALED_LIMIT = "6GB"
NEW_ORDERS = ("build", "--selector", "new_orders")
COMPARED_SCHEMAS = ("instacart", "online_retail", "reports", "reference", "audit")


@dataclass
class Run:
    """One process: wall-clock seconds, peak memory of the process tree and size of the DuckDB file in MB."""

    seconds: float
    memory: float
    file: float = 0.0


@dataclass
class Data:
    """The raw files of one size."""

    share: float
    instacart: Path
    online_retail: Path
    lines: int = 0
    dbt: list[Run] = field(default_factory=list)
    plain: list[Run] = field(default_factory=list)
    read: list[Run] = field(default_factory=list)
    start_up: list[float] = field(default_factory=list)
    nodes: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Arrival:
    """Seconds of a full build without one hundredth of the orders, of the build that adds them, and of that build with
    nothing to add, each without dbt's start-up."""

    full: float
    added: list[float] = field(default_factory=list)
    nothing: list[float] = field(default_factory=list)
    tables: int = 0


def megabytes(path: Path) -> float:
    """Size of a file in megabytes, 0 if it is missing."""
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def timed(command: list[str], log: Path, **environment: str) -> Run:
    """Run a process to its end and watch its tree's resident memory.

    Raises:
        click.ClickException: The process fails; the text names its log.
    """
    start = time.perf_counter()
    with log.open("w") as output:
        process = psutil.Popen(
            command, cwd=PROJECT, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
        )
        peak = 0
        while process.poll() is None:
            try:
                tree = [process, *process.children(recursive=True)]
                peak = max(peak, sum(member.memory_info().rss for member in tree))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}; see {log}")
    return Run(time.perf_counter() - start, peak / 1e6)


def files_of(data: Data) -> list[Path]:
    """The raw files of one size."""
    return sorted([*data.instacart.glob("*.csv"), *data.online_retail.glob("*.csv*")])


READ_ONCE = """
import sys, duckdb
from pathlib import Path
for path in sys.argv[1:]:
    encoding = "latin-1" if Path(path).parent.name.startswith("online_retail") else "utf-8"
    options = f"header = true, delim = ',', quote = '\\"', escape = '\\"', all_varchar = true, encoding = '{encoding}'"
    duckdb.sql(f"select count(columns(*)) from read_csv('{path}', {options})").fetchall()
"""


def run_dbt(data: Data, work: Path, *arguments: str, **environment: str) -> tuple[Run, dict]:
    """A dbt command in a warehouse of its own; returns the run and dbt's results."""
    target = work / "target"
    run = timed(
        [str(Path(sys.executable).with_name("dbt")), *arguments],
        work / "dbt.log",
        INSTACART_DATA=str(data.instacart),
        ONLINE_RETAIL_DATA=str(data.online_retail),
        WAREHOUSE_PATH=str(work / "dbt.duckdb"),
        DBT_TARGET_PATH=str(target),
        DBT_LOG_PATH=str(work),
        DBT_PROFILES_DIR=str(work),
        **environment,
    )
    run.file = megabytes(work / "dbt.duckdb")
    return run, json.loads((target / "run_results.json").read_text())


def one_round(data: Data, work: Path) -> None:
    """Each of the three once, on new files."""
    for path in [*work.glob("*.duckdb*")]:
        path.unlink() if path.is_file() else shutil.rmtree(path)
    run, results = run_dbt(data, work, *BUILD)
    data.start_up.append(run.seconds - results["elapsed_time"])
    run.seconds = results["elapsed_time"]
    data.dbt.append(run)
    data.nodes = sorted(
        ((node["execution_time"], node["unique_id"].split(".", 2)[2]) for node in results["results"]), reverse=True
    )
    plain = work / "plain.duckdb"
    arguments = [str(data.instacart), str(data.online_retail), str(plain)]
    run = timed([sys.executable, str(HERE / "plain.py"), *arguments], work / "plain.log")
    run.file = megabytes(plain)
    data.plain.append(run)
    data.read.append(timed([sys.executable, "-c", READ_ONCE, *map(str, files_of(data))], work / "read.log"))


def compare(work: Path, schemas: tuple[str, ...] = COMPARED_SCHEMAS) -> int:
    """The number of tables of the baseline that equal dbt's, row by row, in the given schemas.

    Raises:
        click.ClickException: A table differs; the text names it.
    """
    with duckdb.connect() as connection:
        connection.execute(f"attach '{work}/dbt.duckdb' as dbt (read_only); attach '{work}/plain.duckdb' as plain")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'dbt' and schema_name in "
            f"{schemas} and table_name not in ('doubted_files', 'processed_files', 'model_runs') order by all"
        ).fetchall()
        for schema, table in tables:
            columns = ", ".join(name for (name, *_) in connection.execute(f"describe dbt.{schema}.{table}").fetchall())
            sides = [f"select {columns} from {side}.{schema}.{table}" for side in ("dbt", "plain")]
            for one, other in (sides, sides[::-1]):
                [(different,)] = connection.execute(f"select count(*) from ({one} except all {other})").fetchall()
                if different:
                    raise click.ClickException(f"{schema}.{table}: {different:,} rows differ between dbt and plain.sql")
    return len(tables)


def hold_back(data: Data, folder: Path) -> list[tuple[Path, Path]]:
    """Copy the files into a folder without the orders of every hundredth user, and write these orders and their lines
    into further files; returns where each of them is and where it belongs."""
    later = []
    shutil.copytree(data.instacart, folder)
    options = "header = true, all_varchar = true, delim = ',', quote = '', escape = ''"
    with duckdb.connect() as connection:
        connection.execute(
            f"create table held_back as select order_id from read_csv('{folder}/orders.csv', {options})"
            f" where cast(user_id as integer) % least(100, (select max(cast(user_id as integer))"
            f" from read_csv('{folder}/orders.csv', {options}))) = 0"
        )
        for table in ("orders", "order_products__prior", "order_products__train"):
            source = f"read_csv('{data.instacart}/{table}.csv', {options})"
            for path, condition in ((folder / f"{table}.csv", "not in"), (folder / f"{table}.later", "in")):
                connection.execute(
                    f"copy (select * from {source} where order_id {condition} (from held_back))"
                    f" to '{path}' (format csv, header true, quote '')"
                )
            later.append((folder / f"{table}.later", folder / table / "later.csv"))
    return later


def arrive(data: Data, work: Path, rounds: int) -> Arrival:
    """Add one hundredth of the orders to a warehouse of the others, in turns with adding nothing.

    Raises:
        click.ClickException: The result differs from the tables of the baseline, which hold all.
    """
    part = Data(data.share, work / "arriving", data.online_retail)
    later = hold_back(data, part.instacart)
    warehouse = work / "dbt.duckdb"
    warehouse.unlink()
    arrival = Arrival(run_dbt(part, work, *BUILD)[1]["elapsed_time"])
    shutil.copy(warehouse, work / "before.duckdb")
    for here, there in later:
        there.parent.mkdir()
        here.rename(there)
    for _ in range(rounds):
        shutil.copy(work / "before.duckdb", warehouse)
        for seconds in (arrival.added, arrival.nothing):
            seconds.append(run_dbt(part, work, *NEW_ORDERS)[1]["elapsed_time"])
    # File names and line numbers, and so the audit tables, are others.
    arrival.tables = compare(work, ("instacart",))
    return arrival


def scale_up(share: float, users: int, official: Path | None, work: Path) -> Data:
    """Build more than the full size once, with a limit of memory that makes DuckDB spill to disk."""
    data = generate(share, users, official, work)
    for path in work.glob("dbt.duckdb*"):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    run, results = run_dbt(data, work, *BUILD, DUCKDB_MEMORY_LIMIT=SCALED_LIMIT)
    run.seconds = results["elapsed_time"]
    data.dbt.append(run)
    return data


def generate(share: float, users: int, official: Path | None, work: Path) -> Data:
    """Write the raw files of one size: a share of the users, and of the invoice lines."""
    data = Data(share, work / f"instacart_{share}", work / f"online_retail_{share}")
    rows = instacart.generate(round(users * share), 1, data.instacart)
    data.online_retail.mkdir()
    if official is None:
        invoices = max(1, round(FULL_SIZE_INVOICES * share * users / FULL_SIZE_USERS))
        rows |= online_retail.generate(invoices, 1, data.online_retail)
    else:
        # The first lines of the real file: a line is a row.
        [path] = [path for path in official.iterdir() if path.name.endswith((".csv", ".csv.gz"))]
        lines = (gzip.open if path.suffix == ".gz" else open)(path, "rb").readlines()
        kept = lines[: 1 + round((len(lines) - 1) * share)]
        (data.online_retail / "data.csv").write_bytes(b"".join(kept))
        rows["data.csv"] = len(kept) - 1
    data.lines = sum(rows.values())
    return data


def ratio(one: list[Run], other: list[Run], of: str = "seconds") -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(one, other, strict=True))


def median(runs: list[Run], of: str = "seconds") -> float:
    """Median over the rounds."""
    return statistics.median(getattr(run, of) for run in runs)


def machine() -> str:
    """The machine in one line."""
    memory = psutil.virtual_memory().total / 2**30
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return (
        f"{psutil.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()}, Python "
        f"{platform.python_version()}, DuckDB {duckdb.__version__}"
    )


def report(
    sizes: list[Data],
    compared: int,
    limited: Run | None,
    arrival: Arrival,
    unit_tests: float,
    commit: str,
    scaled: Data | None = None,
) -> str:
    """The results as Markdown, ratios first."""
    full, small = sizes[-1], sizes[0]
    growth = median(full.dbt) / median(small.dbt) / (full.lines / small.lines)
    added, nothing = statistics.median(arrival.added), statistics.median(arrival.nothing)
    lines = [
        "# Results of the last full benchmark",
        "",
        f"`make bench`, commit {commit}, {len(full.dbt)} rounds in turns, medians. {machine()}.",
        "",
        f"(a) `dbt build` with every data test, (b) `benchmarks/plain.sql` and its checks, (c) reading the raw files "
        f"once. {full.lines:,} raw rows. {compared} tables of (a) and (b) are equal, row by row.",
        "",
        "| ratio | value | target |",
        "|---|---|---|",
        f"| time a / b | {ratio(full.dbt, full.plain):.2f} | at most 1 |",
        f"| time a / c | {ratio(full.dbt, full.read):.1f} | at most 12 |",
        f"| file size a / b | {ratio(full.dbt, full.plain, 'file'):.2f} | at most 1.5 |",
        f"| growth of a from {small.share:.0%} to {full.share:.0%}, 1 is linear | {growth:.2f} | at most 1 |",
        f"| peak memory a / b | {ratio(full.dbt, full.plain, 'memory'):.2f} | |",
        f"| time of 1 % more orders / full build | {added / arrival.full:.2f} | at most 0.1 |",
        f"| the same, less that of a build with no new file | {(added - nothing) / arrival.full:.2f} | |",
        "",
        f"Peak memory of (a): {max(run.memory for run in full.dbt):,.0f} MB (target: at most 4 GB).",
    ]
    if limited:
        lines += [
            "",
            f"With `DUCKDB_MEMORY_LIMIT=2GB` the same build takes {limited.seconds / median(full.dbt):.2f} of the "
            f"time, peak {limited.memory:,.0f} MB.",
        ]
    if scaled:
        [run] = scaled.dbt
        growth = run.seconds / median(full.dbt) / (scaled.lines / full.lines)
        lines += [
            "",
            f"{scaled.share:.0%} of the size, {scaled.lines:,} raw rows, with `DUCKDB_MEMORY_LIMIT={SCALED_LIMIT}`: "
            f"{run.seconds:.1f} s, {growth:.2f} of linear growth from {full.share:.0%}; peak {run.memory:,.0f} MB, "
            f"file {run.file:,.0f} MB.",
        ]
    lines += [
        "",
        f"One hundredth of the orders as further files: `dbt {' '.join(NEW_ORDERS)}` {added:.1f} s, of which "
        f"{nothing:.1f} s also without a new file; full build before {arrival.full:.1f} s. {arrival.tables} tables of "
        "schema `instacart` are equal to those of (b).",
        "",
        f"Apart: dbt's start-up {statistics.median(full.start_up):.1f} s, unit tests {unit_tests:.1f} s.",
        *by_size(sizes),
        *("", "Slowest ten nodes (two run at a time):", "", "| seconds | node |", "|---|---|"),
        *(f"| {seconds:.1f} | {name} |" for seconds, name in full.nodes[:10]),
    ]
    return "\n".join(lines) + "\n"


def by_size(sizes: list[Data]) -> list[str]:
    """The table of the sizes."""
    lines = [
        "",
        "| share of the rows | a: s | b: s | c: s | a / b | a: MB | b: MB | a: file MB | b: file MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for data in sizes:
        seconds = [f"{median(runs):.1f}" for runs in (data.dbt, data.plain, data.read)]
        memory = [f"{median(runs, 'memory'):,.0f}" for runs in (data.dbt, data.plain)]
        files = [f"{median(runs, 'file'):,.0f}" for runs in (data.dbt, data.plain)]
        cells = [f"{data.share:.0%}", *seconds, f"{ratio(data.dbt, data.plain):.2f}", *memory, *files]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


@click.command()
@click.option("--users", type=click.IntRange(min=10), default=FULL_SIZE_USERS, show_default=True, help="100 % of them.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--online-retail",
    "official",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the complete Online Retail file; without it, one is generated.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=1, min_open=True),
    help=f"Also build so many times the size once, with {SCALED_LIMIT} of memory; 3 needs 12 GB of disk.",
)
@click.option("--write", is_flag=True, help="Write benchmarks/RESULTS.md.")
def main(users: int, rounds: int, official: Path | None, scale: float | None, write: bool) -> None:
    """Time dbt build, the plain script and reading the files, in turns, at 10 %, 30 % and 100 % of the size."""
    with tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True) as name:
        work = Path(name)
        shutil.copy(PROJECT / "profiles.yml.example", work / "profiles.yml")
        sizes = [
            generate(share, users, official and official.resolve(), work)
            for share in tqdm(SHARES, desc="Generating", disable=None)
        ]
        with tqdm(total=rounds * len(sizes), desc="Rounds", disable=None) as bar:
            for data in sizes:
                for _ in range(rounds):
                    one_round(data, work)
                    bar.update()
                compared = compare(work)
        arrival = arrive(sizes[-1], work, rounds)
        _, unit_tests = run_dbt(sizes[-1], work, "test", "--exclude-resource-type", "test")
        limited = None
        if users == FULL_SIZE_USERS:
            limited, results = run_dbt(sizes[-1], work, *BUILD, DUCKDB_MEMORY_LIMIT="2GB")
            limited.seconds = results["elapsed_time"]
        scaled = scale_up(scale, users, official and official.resolve(), work) if scale else None
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout.strip()
    text = report(sizes, compared, limited, arrival, unit_tests["elapsed_time"], commit, scaled)
    click.echo(text)
    if write:
        (HERE / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()

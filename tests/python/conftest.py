"""Runs the real dbt, in processes that have it imported already, on data folders that the tests write."""

import contextlib
import io
import multiprocessing
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import prediction_files
import pytest

from retail_warehouse import instacart

PROJECT = Path(__file__).parents[2]
# A server process imports dbt once (some 5 seconds) and forks for every command.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.duckdb", "agate"])
# What a developer's shell may hold must not change a test.
_OWN_VARIABLES = (
    "INSTACART_",
    "ONLINE_RETAIL_",
    "WAREHOUSE_PATH",
    "DUCKDB_",
    "REDSHIFT_",
    "DBT_",
    "PARQUET_EXPORT",
    "PREDICTIONS_",
)

REAL_DATA = os.environ.get("RETAIL_WAREHOUSE_REAL_DATA", "")
REAL_FILE = Path(REAL_DATA) / "online_retail/data.csv.gz"
needs_the_real_file = pytest.mark.skipif(
    not REAL_DATA or not REAL_FILE.is_file(),
    reason="RETAIL_WAREHOUSE_REAL_DATA names no folder with online_retail/data.csv.gz, the complete real file",
)


@dataclass
class Outcome:
    ok: bool
    output: str


def _run_dbt(arguments: list[str], environment: dict[str, str], project: Path, output: Path) -> None:
    for name in [name for name in os.environ if name.startswith(_OWN_VARIABLES)]:
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(project)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    result = dbtRunner().invoke(arguments)
    # A process of this kind ends without clean-up; the dbt command would close the warehouse file.
    DuckDBConnectionManager.close_all_connections()
    sys.exit(0 if result.success else 1)


@dataclass
class Dbt:
    """dbt with a warehouse file and artifacts of its own. The path stays the same over a session, so that dbt need not
    parse the whole project again."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def start(
        self,
        *arguments: str,
        data: Path | None = None,
        profiles: Path | None = None,
        project: Path = PROJECT,
        **environment: str,
    ):
        """Start a dbt command and return its process; `data` is the folder of Instacart files, else the sample."""
        variables = {
            "WAREHOUSE_PATH": str(self.warehouse),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_PROFILES_DIR": str(profiles or self.folder),
            "DBT_USE_COLORS": "false",
            **environment,
        }
        if data is not None:
            variables["INSTACART_DATA"] = str(data)
        self.output.write_text("")
        process = _PROCESSES.Process(target=_run_dbt, args=(list(arguments), variables, project, self.output))
        process.start()
        return process

    def __call__(self, *arguments: str, **keywords) -> Outcome:
        process = self.start(*arguments, **keywords)
        process.join()
        return Outcome(process.exitcode == 0, self.output.read_text())

    def build(self, *arguments: str, **keywords) -> Outcome:
        """`dbt build` with every data test; unit tests do not depend on the data and have their run elsewhere."""
        outcome = self("build", "--exclude-resource-type", "unit_test", *arguments, **keywords)
        if outcome.ok:
            self.reconciliation()
        return outcome

    def clear(self) -> None:
        for path in self.folder.glob("warehouse.duckdb*"):
            path.unlink() if path.is_file() else shutil.rmtree(path)

    def query(self, sql: str) -> list[tuple]:
        with contextlib.closing(duckdb.connect(str(self.warehouse), read_only=True)) as connection:
            return connection.execute(sql).fetchall()

    def rejected(self) -> list[tuple]:
        return self.query(
            "select table_name, row_number, reason, detail from audit.rejected_rows order by table_name, row_number"
        )

    def reconciliation(self, source_name: str = "instacart") -> dict[str, list[int]]:
        """Raw, accepted and rejected rows by file of one source; the rows of every source must add up."""
        rows = self.query("select * from audit.row_reconciliation")
        for _, _, file_name, raw, accepted, rejected in rows:
            assert raw == accepted + rejected, file_name
        return {file_name: counts for source, _, file_name, *counts in rows if source == source_name}


@pytest.fixture(scope="session")
def _session_dbt(tmp_path_factory) -> Dbt:
    folder = tmp_path_factory.mktemp("dbt")
    shutil.copy(PROJECT / "profiles.yml.example", folder / "profiles.yml")
    return Dbt(folder)


@pytest.fixture
def dbt(_session_dbt) -> Dbt:
    """dbt with an empty warehouse."""
    _session_dbt.clear()
    return _session_dbt


@dataclass
class Built:
    manifest: Path
    warehouse: Path
    artifacts: Path


@pytest.fixture(scope="session")
def built(_session_dbt, tmp_path_factory) -> Built:
    """The bundled sample, built with everything there is, every data and unit test, and its artifacts with catalog; do
    not change it."""
    _session_dbt.clear()
    folder = tmp_path_factory.mktemp("built")
    (folder / "predictions").mkdir()
    prediction_files.write(PROJECT / "seeds/samples/instacart", str(folder / "predictions"))
    everything = {"PARQUET_EXPORT": str(folder / "exports"), "PREDICTIONS_DATA": str(folder / "predictions")}
    arguments = ("--selector", "everything", "--vars", "{complete_histories: true, assume_incremental: false}")
    outcome = _session_dbt("build", *arguments, **everything)
    assert outcome.ok, outcome.output
    docs = _session_dbt("docs", "generate", "--quiet", *arguments, **everything)
    assert docs.ok, docs.output
    shutil.copy(_session_dbt.warehouse, folder / "warehouse.duckdb")
    for name in ("manifest.json", "catalog.json"):
        shutil.copy(_session_dbt.target / name, folder / name)
    return Built(folder / "manifest.json", folder / "warehouse.duckdb", folder)


@pytest.fixture(scope="session")
def _small_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    instacart.generate(12, 7, folder)
    return folder


class DataFolder(type(Path())):
    """A folder of Instacart files that a test changes."""

    def lines(self, name: str) -> list[str]:
        return (self / f"{name}.csv").read_text(encoding="utf-8").splitlines()

    def write(self, name: str, lines: list[str]) -> None:
        (self / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def replace_line(self, name: str, row_number: int, line: str) -> None:
        lines = self.lines(name)
        lines[row_number - 1] = line
        self.write(name, lines)

    def append(self, name: str, *lines: str) -> int:
        """Append lines and return the row number of the first."""
        old = self.lines(name)
        self.write(name, [*old, *lines])
        return len(old) + 1


@pytest.fixture
def data(_small_files, tmp_path) -> DataFolder:
    """A small clean data set in a folder of the test's own."""
    folder = tmp_path / "data"
    shutil.copytree(_small_files, folder)
    return DataFolder(folder)


# Modules with few tests that take minutes, so that none of them runs last and alone.
LONG_MODULES = (
    "test_streaming.py",
    "test_incremental.py",
    "test_interruption.py",
    "test_bad_input.py",
    "test_redshift.py",
)


def pytest_collection_modifyitems(items):
    """Long modules come first; xdist hands out modules in this order."""
    items.sort(key=lambda item: item.path.name not in LONG_MODULES)


def pytest_terminal_summary(terminalreporter):
    """Print what tests have recorded as `told`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(value)

"""Runs the real dbt, in processes that have imported it and parsed the project, on folders that the tests write."""

import contextlib
import fcntl
import functools
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from shared import prediction_files
from xdist.scheduler import LoadScopeScheduling

from retail_warehouse.generate import instacart

# Fixtures of several modules.
pytest_plugins = (
    "shared.api_fixtures",
    "shared.aws_fixtures",
    "shared.landing_fixtures",
    "shared.prediction_fixtures",
    "shared.run_fixtures",
    "shared.store_fixtures",
    "shared.token_fixtures",
)

PROJECT = Path(__file__).parents[2]
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

# Seconds after which a command is taken for stuck.
LONGEST_COMMAND = 900
# For commands whose artifacts are read.
WITH_ARTIFACTS = {"DBT_WRITE_JSON": "true"}
# What writes tables; data tests change none.
MODELS = ("build", "--exclude-resource-types", "unit_test", "test", "exposure")
# All of one source, and what is of both; in a warehouse that holds the other. Data tests that look at both are
# named beside them.
# Reports are built from the marts in full, whatever happened to these.
_OF_BOTH = ("rejected_rows", "doubted_files", "row_reconciliation", "path:models/marts/reference", "source:ledger")
INSTACART = ("--exclude", "tag:reports", "--select", "tag:instacart", *_OF_BOTH)
ONLINE_RETAIL = ("--exclude", "tag:reports", "--select", "tag:online_retail", "service_stock_codes", *_OF_BOTH)
TESTS_OF_BOTH = ("assert_row_counts_carry_through_layers", "assert_sales_add_up_to_the_penny")

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


class Command:
    """A dbt command that runs; killed and waited for like a process of `multiprocessing`."""

    def __init__(self, server: "Server", process: int) -> None:
        self._server, self._process = server, process
        self.exitcode: int | None = None

    def is_alive(self) -> bool:
        if self.exitcode is None and self._server.has_answered():
            self.join()
        return self.exitcode is None

    def kill(self) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):  # it has ended in this moment
                os.kill(self._process, signal.SIGKILL)

    def join(self) -> None:
        if self.exitcode is None:
            self.exitcode = self._server.answer()


class Server:
    """The process in which dbt is imported once, and whose forks run the commands of a worker, one after the other."""

    def __init__(self) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        program = [
            sys.executable,
            Path(__file__).parent / "shared/dbt_server.py",
            PROJECT / "target" / "parsed_for_tests",
        ]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._last: Command | None = None

    def start(self, **request) -> Command:
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        self._last = Command(self, self.answer())
        return self._last

    def end_last(self, kill: bool) -> None:
        """Wait for the last command, which a test that failed may have left behind, after killing it or not."""
        if self._last and kill:
            self._last.kill()
        if self._last:
            self._last.join()

    def has_answered(self, seconds: float = 0) -> bool:
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def answer(self) -> int:
        # Byte for byte, so that `has_answered` knows of all that was not read yet.
        line = b""
        while not line.endswith(b"\n"):
            if not self.has_answered(LONGEST_COMMAND):
                self._process.kill()
                _server.cache_clear()
                pytest.fail(f"dbt has run for {LONGEST_COMMAND} s without an end")
            byte = os.read(self._process.stdout.fileno(), 1)
            if not byte:
                _server.cache_clear()
                pytest.fail("the dbt server has ended; what it said stands in the captured output")
            line += byte
        return int(line)


def _parse_request(target: str, environment: dict[str, str]) -> dict:
    """What the server has to parse for a target."""
    variables = environment.get("RUN_VARS")
    return {
        "arguments": ["--target", target, *(("--vars", variables) if variables and target != "dev" else ())],
        "environment": environment | ({"WAREHOUSE_PATH": ":memory:"} if target == "dev" else {}),
        "is_parsed_once": True,
        "is_parsed_for_others": False,
    }


# It ends with the worker, which closes its standard input.
_server = functools.cache(Server)


@dataclass
class Dbt:
    """dbt with a warehouse file and artifacts of its own."""

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
        working_folder: Path | None = None,
        is_for_people: bool = False,
        is_parsed_for_others: bool = False,
        targets: tuple[str, ...] = (),
        has_small_trees: bool = False,
        **environment: str,
    ) -> Command:
        """Start a dbt command; `data` is the folder of Instacart files, else the sample. `is_for_people`: the arguments
        are those of `retail-warehouse build`. `is_parsed_for_others`: see `parsed_for`. `targets`: the arguments are
        those of `retail-warehouse`, which runs dbt on these, and lands in memory; `has_small_trees`: and trains few."""
        variables = {
            "WAREHOUSE_PATH": str(self.warehouse),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_PROFILES_DIR": str(profiles or self.folder),
            "DBT_USE_COLORS": "false",
            # Hardly any test reads them, and they are a quarter of the time.
            "DBT_LOG_LEVEL_FILE": "none",
            "DBT_WRITE_JSON": "false",
            # As many builds run as there are cores.
            "DUCKDB_THREADS": "1",
            **environment,
        }
        if data is not None:
            variables["INSTACART_DATA"] = str(data)
        _server().end_last(kill=False)
        self.output.write_text("")
        return _server().start(
            arguments=arguments,
            environment=variables,
            project=str(project),
            working_folder=str(working_folder or project),
            is_for_people=is_for_people,
            is_parsed_for_others=is_parsed_for_others,
            output=str(self.output),
            is_parsed_once=project == PROJECT,
            parsed={target: _parse_request(target, variables) for target in targets},
            has_small_trees=has_small_trees,
        )

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


def wait_for_output(dbt: Dbt, command: Command, pattern: str) -> None:
    """Return when what the command prints matches a regular expression; `.` is any character, the end of a line too."""
    while not re.search(pattern, dbt.output.read_text(), re.DOTALL):
        # Once more, for what it said last.
        if not command.is_alive() and not re.search(pattern, dbt.output.read_text(), re.DOTALL):
            pytest.fail(f"{pattern} never came:\n{dbt.output.read_text()[-2000:]}")
        time.sleep(0.002)


@pytest.fixture(scope="session")
def _session_dbt(tmp_path_factory) -> Dbt:
    folder = tmp_path_factory.mktemp("dbt")
    shutil.copy(PROJECT / "profiles.yml.example", folder / "profiles.yml")
    return Dbt(folder)


@pytest.fixture
def dbt(_session_dbt) -> Dbt:
    """dbt with an empty warehouse."""
    _server().end_last(kill=True)
    _session_dbt.clear()
    return _session_dbt


@pytest.fixture
def parsed_for(_session_dbt):
    """Puts what dbt keeps of a parse where processes with an environment of their own look for it."""

    def keep_in(target: Path, environment: dict[str, str], *options: str) -> None:
        own = {name: text for name, text in environment.items() if name.startswith(_OWN_VARIABLES)}
        own["DBT_TARGET_PATH"] = str(target)
        outcome = _session_dbt("parse", *options, is_parsed_for_others=True, **own)
        assert outcome.ok, outcome.output
        assert (target / "partial_parse.msgpack").is_file()

    def keep(environment: dict[str, str], for_the_player: bool = False) -> None:
        target = Path(environment["DBT_TARGET_PATH"])
        keep_in(target, environment)
        if for_the_player:  # it reads its file by a dbt of its own
            raw = {"WAREHOUSE_PATH": str(target / "player" / "warehouse.duckdb")}
            keep_in(target / "player", environment | raw, "--target", "dev")

    return keep


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Returns a folder that several workers read: the first that asks for it makes it."""

    def folder_of(name: str, make) -> Path:
        shared = tmp_path_factory.getbasetemp()
        if os.environ.get("PYTEST_XDIST_WORKER"):
            shared = shared.parent  # https://pytest-xdist.readthedocs.io/en/stable/how-to.html
        folder, made = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return folder_of


@dataclass
class Built:
    manifest: Path
    warehouse: Path
    artifacts: Path


@pytest.fixture(scope="session")
def built(_session_dbt, made_once) -> Built:
    """The bundled sample, built with everything there is, every data and unit test, and its artifacts with catalog; do
    not change it."""

    def make(folder: Path) -> None:
        _session_dbt.clear()
        (folder / "predictions").mkdir()
        prediction_files.write(PROJECT / "seeds/samples/instacart", str(folder / "predictions"))
        files = {"PARQUET_EXPORT": str(folder / "exports"), "PREDICTIONS_DATA": str(folder / "predictions")}
        options = "{complete_histories: true, assume_incremental: false}"
        arguments = ("--selector", "everything", "--vars", options)
        outcome = _session_dbt("build", *arguments, **files, **WITH_ARTIFACTS)
        assert outcome.ok, outcome.output
        exported = _session_dbt("run-operation", "export_parquet", "--vars", options, **files)
        assert exported.ok, exported.output
        docs = _session_dbt("docs", "generate", "--static", "--quiet", *arguments, **files, **WITH_ARTIFACTS)
        assert docs.ok, docs.output
        shutil.copy(_session_dbt.warehouse, folder / "warehouse.duckdb")
        for name in ("manifest.json", "catalog.json", "semantic_manifest.json", "static_index.html"):
            shutil.copy(_session_dbt.target / name, folder / name)

    folder = made_once("built", make)
    return Built(folder / "manifest.json", folder / "warehouse.duckdb", folder)


@pytest.fixture(scope="session")
def build_features(_session_dbt):
    """Like `evaluation.build_features`, by the dbt of the tests, which has parsed the project already."""

    def build(data: Path, warehouse: Path) -> None:
        _session_dbt.clear()
        outcome = _session_dbt("run", "--select", "+tag:features", data=data)
        assert outcome.ok, outcome.output
        shutil.copy(_session_dbt.warehouse, warehouse)

    return build


@pytest.fixture(scope="session")
def predicted(made_once, build_features):
    """A small made-up shop with features, a model and predictions in its warehouse; take a copy to change it."""
    from shared import predicted_shop  # here, so that only tests of predictions need their libraries

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            predicted_shop.make_trees_small(patch)
            predicted_shop.make(folder, build_features)

    return predicted_shop.Shop(made_once("predicted", make))


@pytest.fixture(scope="session")
def served(predicted, made_once, tmp_path_factory):
    """An API with that shop published, and some transactions; tests read from it."""
    from shared import served_shop

    folder = made_once("published", lambda folder: served_shop.publish(predicted, folder))
    with served_shop.serving(folder, tmp_path_factory.mktemp("served")) as started:
        yield started


@dataclass
class Small:
    data: Path
    warehouse: Path


@pytest.fixture(scope="session")
def small(_session_dbt, made_once) -> Small:
    """Clean Instacart files of a few users, and a warehouse built from them and the bundled sample of Online Retail; do
    not change them."""

    def make(folder: Path) -> None:
        (folder / "data").mkdir()
        instacart.generate(12, 7, folder / "data")
        for path in (folder / "data").iterdir():
            settle(path)
        _session_dbt.clear()
        outcome = _session_dbt(*MODELS, data=folder / "data")
        assert outcome.ok, outcome.output
        _session_dbt.reconciliation()
        shutil.copy(_session_dbt.warehouse, folder / "warehouse.duckdb")

    folder = made_once("small", make)
    return Small(folder / "data", folder / "warehouse.duckdb")


@pytest.fixture
def built_dbt(dbt, small) -> Dbt:
    """dbt with a copy of the small warehouse."""
    shutil.copy(small.warehouse, dbt.warehouse)
    return dbt


_changes = itertools.count()


def settle(path: Path) -> None:
    """Give a file that was written a time of its own that lies behind us: to dbt, a file of this very second may still
    change, and is read again by the next build."""
    changed = time.time() // 1 - 100_000 + next(_changes)
    os.utime(path, (changed, changed))


class DataFolder(type(Path())):
    """A folder of Instacart files that a test changes."""

    def lines(self, name: str) -> list[str]:
        return (self / f"{name}.csv").read_text(encoding="utf-8").splitlines()

    def write(self, name: str, lines: list[str]) -> None:
        path = self / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        settle(path)

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
def data(small, tmp_path) -> DataFolder:
    """A small clean data set in a folder of the test's own."""
    folder = tmp_path / "data"
    shutil.copytree(small.data, folder)
    return DataFolder(folder)


@pytest.fixture(scope="module")
def chromium():
    import dashboard_picture  # here, so that only tests in a browser need it

    with dashboard_picture.browser() as started:
        yield started


@pytest.fixture
def watched(chromium):
    """A new tab of the browser."""
    from shared.browser import Watched

    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    yield Watched(tab)
    tab.close()


# Modules whose tests share nothing that is costly to make, so that any worker may run any of them. Their tests come
# after the groups, so that both workers have something to do to the end.
SPREAD_MODULES = {
    "test_bad_input",
    "test_following",
    "test_incremental",
    "test_interruption",
    "test_live",
    "test_micro_batches",
    "test_online_retail",
    "test_parquet_export",
    "test_player",
    "test_streaming",
}
# Groups that take longest come first.
LONG_MODULES = (
    *("test_redshift", "test_predictions", "test_predictions_real", "test_evaluation", "test_features"),
    *("test_streaming", "test_following", "test_live", "test_micro_batches", "test_player"),
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.path.stem not in LONG_MODULES, item.path.stem in SPREAD_MODULES))


class Scheduler(LoadScopeScheduling):
    """Hands out the tests of a module together, but those of a spread module one by one."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if Path(module).stem in SPREAD_MODULES else module


def pytest_xdist_make_scheduler(config, log):
    return Scheduler(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_terminal_summary(terminalreporter):
    """Print what tests have recorded as `told`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(value)

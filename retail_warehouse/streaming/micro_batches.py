"""dbt in one warm process: a micro-batch whenever rows were landed, which opens the warehouse and closes it again."""

import contextlib
import functools
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from retail_warehouse.errors import DataError
from retail_warehouse.project import environment_variables, require_project_folder, warehouse
from retail_warehouse.settings import settings
from retail_warehouse.streaming.lag import note_processed
from retail_warehouse.streaming.landing_folder import handed_over
from retail_warehouse.streaming.merging import Merged, MergeError, Merging, place_of
from retail_warehouse.streaming.set_aside import NotTried, SetAside, is_caused_by_rows, pending_files

_LINES = """
select count(*), count(rejection_reason), (select count(*) from audit.rejected_rows where table_name = 'streamed_lines')
from staging.stg_online_retail__streamed_lines
"""
_STAGED = "stg_online_retail__streamed_lines"
_SELECTED = ("build", "--selector", "micro_batch")
_EVERYTHING = ("build", "--exclude-resource-type", "unit_test", "test")
_TRIED_DAY = "day=9999-12-31"  # folder of landed files that are tried, which come last
_TRY_SECONDS = 300.0  # until what was set aside is tried again


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch.

    Args:
        ok: Whether dbt succeeded.
        seconds: How long it took.
        files: Landed files that it could see.
        problem: What was wrong, if anything.
        lines: Streamed lines in the warehouse after it.
        rejected: Those of them that cannot be accepted.
        contradicting: Those of them that contradict a line of a file of the same name, or one before.
        set_aside: Landed lines that cannot be built, and wait until they can.
        not_merged: Why landed files were not merged, if something was wrong.
    """

    ok: bool
    seconds: float
    files: int
    problem: str = ""
    lines: int = 0
    rejected: int = 0
    contradicting: int = 0
    set_aside: int = 0
    not_merged: str = ""

    @property
    def notes(self) -> list[str]:
        """What a person should look at."""
        notes = []
        if self.rejected:
            notes.append(f"{self.rejected:,} of {self.lines:,} lines rejected (audit.rejected_rows)")
        if self.contradicting:
            notes.append(
                f"{self.contradicting:,} contradict lines that came first (audit.rejected_rows, streamed_lines): is "
                "there a file with the name of a delivery in ONLINE_RETAIL_DATA?"
            )
        if self.set_aside:
            notes.append(f"{self.set_aside:,} lines cannot be built and are set aside (audit.set_aside_lines)")
        if self.not_merged:
            notes.append(self.not_merged)
        return notes


class MicroBatches:
    """Runs dbt on what was landed."""

    def __init__(self, landing: Path | None, tell: Callable[[str], None] = lambda message: None) -> None:
        """Import dbt and parse the project, once; build everything if nothing was built before.

        Args:
            landing: The folder that ``ONLINE_RETAIL_LANDING`` names, or None for one that only dbt looks into.
            tell: Gets a message before what takes long.

        Raises:
            DataError: Not in the project's folder, or it cannot be parsed or built; dbt has told why.
        """
        require_project_folder()
        is_built = self._is_built()  # first, since an error should not wait for dbt
        tell("Starting dbt")
        # Not before it is needed: dbt takes seconds to import.
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        self._landing = landing
        self._set_aside = SetAside(landing, self._problem_with) if landing else None
        self._next_try = 0.0
        self._has_failed = False
        self._close = DuckDBConnectionManager.close_all_connections
        self._seen: set[str] = set()
        self._counts = (0, 0, 0)
        parsed = dbtRunner().invoke(["--quiet", "parse"])
        if not parsed.success:
            raise DataError("dbt cannot parse the project.")
        self._dbt = dbtRunner(manifest=parsed.result)
        place = landing or settings().online_retail_landing
        self._merging = Merging(place_of(place), models_by_landed_file(parsed.result)) if place else None
        if not is_built:
            tell(f"Building {warehouse()} for the first time")
            built = self._build_everything()
            if not built.ok:
                raise DataError(f"dbt cannot build the warehouse: {built.problem}")

    def _build_everything(self) -> Batch:
        built = self._invoke(*_EVERYTHING)
        if built.ok or self._landing is None or not is_caused_by_rows(built.problem):
            return built
        # Perhaps because of landed rows: micro-batches add these, and set aside what cannot be built.
        with (
            tempfile.TemporaryDirectory() as nothing_landed,
            environment_variables({"ONLINE_RETAIL_LANDING": nothing_landed}),
        ):
            return self._invoke_dbt(*_EVERYTHING)

    def _is_built(self) -> bool:
        file = warehouse()
        if not file.is_file():
            return False
        names = "table_schema || '.' || table_name"
        try:
            with duckdb.connect(str(file), read_only=True) as connection:
                found = connection.execute(f"select {names} from information_schema.tables").fetchall()
        except duckdb.Error as error:
            raise DataError(f"{file} cannot be opened: {error}") from error
        return {("online_retail.transactions",), ("audit.row_reconciliation",)} <= set(found)

    def _files(self) -> set[str]:
        return {path.name for path in self._landing.glob("*/*.ndjson")} if self._landing else set()

    def _invoke(self, *arguments: str) -> Batch:
        files = self._files()
        batch = self._invoke_dbt(*arguments)
        if not batch.ok:
            return replace(batch, files=len(files))
        self._seen = files
        if self._landing:
            note_processed(self._landing, files)
        not_merged = self._merge()
        lines, rejected, contradicting = self._count()
        aside = self._set_aside.count() if self._set_aside else 0
        return Batch(True, batch.seconds, len(files), "", lines, rejected, contradicting, aside, not_merged)

    def _merge(self) -> str:
        """Merge landed files that are processed, and return what is wrong, if anything."""
        try:
            merged = self._merging.step(warehouse()) if self._merging else Merged()
        except MergeError as error:
            return str(error)
        self._seen -= {Path(name).name for name in merged.removed}
        self._seen |= {Path(name).name for name in merged.made}
        return ""

    def _invoke_dbt(self, *arguments: str) -> Batch:
        start = time.monotonic()
        try:
            result = self._dbt.invoke(["--quiet", *arguments])
        finally:
            self._close()
        problem = "" if result.success else str(result.exception or _failures(result.result))
        return Batch(result.success, time.monotonic() - start, 0, problem)

    def _count(self) -> tuple[int, int, int]:
        # What dbt has just closed, somebody else may have opened by now; then the last counts have to do.
        with contextlib.suppress(duckdb.Error), duckdb.connect(str(warehouse()), read_only=True) as connection:
            self._counts = connection.execute(_LINES).fetchall()[0]
        return self._counts

    def run(self) -> Batch | None:
        """A micro-batch, or none where nothing was landed since the last."""
        if self._landing and not self._landing.is_dir() and self._seen:
            # dbt would take what was landed there for withdrawn.
            return Batch(False, 0.0, 0, f"The landing folder {self._landing} is gone; bring it back.")
        if self._landing is None:
            return self._invoke(*_SELECTED)
        if self._set_aside and self._set_aside.files() and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + _TRY_SECONDS
            with contextlib.suppress(NotTried):
                self._set_aside.try_again()
            self._set_aside.enter(warehouse(), "")
        if self._files() == self._seen:
            return None
        batch = self._invoke(*_SELECTED)
        if not batch.ok and self._has_failed and is_caused_by_rows(batch.problem):
            # Once more than once: what happens to a warehouse is over the next time.
            batch = self._without_what_fails(batch)
        self._has_failed = not batch.ok
        return batch

    def _without_what_fails(self, failed: Batch) -> Batch:
        """A batch without the landed rows that cannot be built, after one that has failed."""
        if self._landing is None or self._set_aside is None:
            return failed
        try:
            count = self._set_aside.separate(pending_files(self._landing, warehouse()))
        except NotTried as error:
            return replace(failed, problem=f"{failed.problem} Which rows cause it could not be tried: {error}")
        if not count:
            return failed
        self._next_try = time.monotonic() + _TRY_SECONDS
        self._set_aside.enter(warehouse(), failed.problem)
        return self._invoke(*_SELECTED)

    def separate(self) -> tuple[int, str]:
        """Set aside the landed rows that cannot be built, without building the others.

        Returns:
            Their number, and what dbt says of them.

        Raises:
            NotTried: The rows could not be tried; none, or not all, are set aside.
        """
        assert self._landing is not None
        assert self._set_aside is not None
        pending = pending_files(self._landing, warehouse())
        problem = self._problem_with([self._landing / name for name in pending])
        return (self._set_aside.separate(pending), problem) if problem else (0, "")

    def _problem_with(self, files: Sequence[Path]) -> str:
        """What is wrong when landed files are added to a copy of the warehouse; nothing if they can be built.

        Raises:
            NotTried: The warehouse cannot be copied, or dbt fails for reasons that are not in the rows.
        """
        assert self._landing is not None
        with _scratch_beside(warehouse()) as scratch:
            landing = scratch / "landing"
            try:
                for path in (warehouse(), warehouse().with_name(f"{warehouse().name}.wal")):
                    if path.is_file():
                        # Under the same name, which the parsed project holds.
                        shutil.copyfile(path, scratch / path.name)
                _link_landed(self._landing, landing, files)
                _move_landing(scratch / warehouse().name, self._landing, landing)
            except (OSError, duckdb.Error) as error:
                raise NotTried(f"the warehouse cannot be copied to {scratch.parent}: {error}") from error
            given = {"WAREHOUSE_PATH": str(scratch / warehouse().name), "ONLINE_RETAIL_LANDING": str(landing)}
            with environment_variables(given):
                batch = self._invoke_dbt(*_SELECTED, "--log-level", "none", "--target-path", str(scratch / "target"))
        if not batch.ok and not is_caused_by_rows(batch.problem):
            raise NotTried(batch.problem or "dbt failed without saying why")
        return batch.problem

    def forever(self, every: float, tell: Callable[[Batch], None], until: Callable[[], bool] = lambda: False) -> None:
        """Micro-batches until SIGINT, SIGTERM or SIGHUP, which lets the one that runs end, or until there is nothing to
        do and `until` says so.

        Args:
            every: Seconds from the start of one to the start of the next, if it does not take longer.
            tell: Gets each.
            until: Asked before each look.
        """
        stopped = threading.Event()
        # dbt would take an interrupt for a failure of its own, and the loop would go on.
        before = {
            number: signal.signal(number, lambda *_: stopped.set())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP  # which nohup ignores
        }
        try:
            while not stopped.is_set():
                start = time.monotonic()
                ends = until()
                batch = self.run()
                if batch:
                    tell(batch)
                elif ends:
                    return
                stopped.wait(max(0.0, every - (time.monotonic() - start)))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _scratch_beside(file: Path) -> Iterator[Path]:
    """A folder on the disk of a file, where there is room for its copy."""
    try:
        scratch = tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".tried-")
    except OSError as error:
        raise NotTried(str(error)) from error
    with scratch as name:
        yield Path(name)


def _link_landed(old: Path, new: Path, tried: Sequence[Path]) -> None:
    """Fill a new landing folder with links to the files that the warehouse holds, and to those that are tried."""
    pending = {old / name for name in pending_files(old, warehouse())}
    links = {new / path.relative_to(old): path for path in handed_over(old) if path not in pending}
    links |= {new / _TRIED_DAY / f"{place:06}.ndjson": path for place, path in enumerate(tried)}
    for link, path in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())


def _move_landing(file: Path, old: Path, new: Path) -> None:
    """Let the ledger of a warehouse know its landed files in another folder: a file that moved would be read again."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "update audit.processed_files set fingerprint = replace(fingerprint, ?, ?)",
            [f", in {old.resolve()}", f", in {new.resolve()}"],
        )


def models_by_landed_file(manifest: Any) -> list[str]:
    """The models that note in the ledger which landed files they have processed: those with a key that read the staged
    lines, through whatever models."""

    @functools.cache
    def reads_landed_files(unique_id: str) -> bool:
        node = manifest.nodes.get(unique_id)
        if node is None or node.resource_type != "model":
            return False
        return node.name == _STAGED or any(map(reads_landed_files, node.depends_on.nodes))

    models = (node for node in manifest.nodes.values() if node.resource_type == "model")
    return [node.name for node in models if "processed_by" in node.config.meta and reads_landed_files(node.unique_id)]


def _failures(result: object) -> str:
    results = getattr(result, "results", [])
    return "; ".join(f"{one.node.name}: {one.message}" for one in results if one.status in ("error", "fail"))

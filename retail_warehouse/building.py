"""``dbt build`` for people: one line of progress, every failure, and at the end a summary of the warehouse."""

import shutil
import sys
import threading
import time
from collections import Counter
from typing import Any

import click
import duckdb
from tqdm import tqdm

from retail_warehouse.project import short_error, warehouse
from retail_warehouse.settings import ProjectSettings
from retail_warehouse.unit_tests import PassedBefore

#: Options of dbt that say what it shall tell; with one of them it tells it itself.
_OF_OUTPUT = ("--log-", "--debug", "--no-debug", "--quiet", "--no-quiet")
#: Their short forms.
_OF_OUTPUT_SHORT = ("-d", "-q")
#: Schemas of the marts.
_MARTS = ("instacart", "online_retail")
#: Lines of progress where nobody sees a bar.
_PARTS = 4
_ACTIVATE = "\n  source .venv/bin/activate                  once in each terminal, so that it finds dbt"
_NEXT = """
  make docs                                  the lineage, and what every column means
  make sql                                   a prompt for questions in SQL
  make dashboard                             a page with the answers
  dbt show --select products_bought_again    one answer, here
  INSTACART_DATA=<folder> ONLINE_RETAIL_DATA=<folder> make build    the same of the real files (README)"""


def _tell(text: str) -> None:
    """Print a line, above the bar if there is one."""
    tqdm.write(text if sys.stdout.isatty() else click.unstyle(text), file=sys.stdout)
    sys.stdout.flush()


class _Listener:
    """Gets every event of dbt. https://docs.getdbt.com/reference/programmatic-invocations#registering-callbacks"""

    def __init__(self, is_verbose: bool) -> None:
        self.adapter = ""
        self._is_verbose = is_verbose
        self._lock = threading.Lock()  # nodes end in several threads
        self._start = time.monotonic()
        self._has_terminal = sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._total = self._done = self._told = 0
        self._is_failure = False
        if not is_verbose:
            self._begin("Reading the project", 0)

    def _begin(self, what: str, total: int) -> None:
        self.end()
        self._total = total
        if not self._has_terminal:
            _tell(f"{what} ...")
            return
        form = "{desc} ..."
        if total:
            form = "{desc} {percentage:3.0f} % |{bar:20}| {n_fmt} of {total_fmt}, {elapsed}{postfix}"
        self._bar = tqdm(desc=what, total=total, bar_format=form, leave=False, dynamic_ncols=True)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __call__(self, event: Any) -> None:
        with self._lock:
            name = event.info.name
            if name == "AdapterRegistered":
                self.adapter = event.data.adapter_name
            elif self._is_verbose:
                pass
            elif name == "ConcurrencyLine":
                self._begin("Building", event.data.node_count)
            elif name == "NodeStart":
                if self._bar is not None:
                    self._bar.set_postfix_str(event.data.node_info.node_name[:40], refresh=False)
            elif name == "NodeFinished":
                self._advance()
            elif name in ("LogTestResult", "LogModelResult"):
                if event.info.level == "error":
                    _tell(f"  failed: {event.data.node_info.node_name}")
            elif self._is_told(name, event.info.level):
                _tell(event.info.msg)

    def _advance(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        part = self._done * _PARTS // self._total if self._total else 0
        if not self._has_terminal and self._told < part < _PARTS:
            self._told = part
            _tell(f"  {self._done} of {self._total} models and tests after {time.monotonic() - self._start:.0f} s")

    def _is_told(self, name: str, level: str) -> bool:
        """Whether an event is printed: errors and their details, warnings that the summary does not repeat, and
        messages of the project."""
        if name in ("RunResultFailure", "RunResultWarning"):
            self._is_failure = name == "RunResultFailure"
        if name in ("JinjaLogInfo", "PrintEvent"):
            return True
        if name in ("SQLCompiledPath", "CheckNodeTestFailure", "RunResultError"):
            return self._is_failure
        if level == "warn":
            return name not in ("RunResultWarning", "RunResultWarningMessage")
        # What an interrupt cancels is told in fewer words, and the trace of an error stands in the log.
        return level == "error" and name not in ("LogCancelLine", "MainStackTrace", "MainEncounteredError")


def build(arguments: list[str], is_verbose: bool = False, manifest: Any = None) -> int:
    """Run ``dbt build`` and print what the warehouse holds afterwards. Without arguments, unit tests that passed in
    such a build before are left out while nothing has changed that they depend on.

    Args:
        arguments: Further arguments of ``dbt build``.
        is_verbose: Show dbt's own output. Arguments that control dbt's output imply it.
        manifest: What ``dbt parse`` has returned, by the same options; without it the project is parsed.

    Returns:
        The exit status of dbt: 0; 1 where a model or test failed; 2 where dbt could not run.
    """
    start = time.monotonic()
    is_verbose = is_verbose or any(
        argument.startswith(_OF_OUTPUT) or argument in _OF_OUTPUT_SHORT for argument in arguments
    )
    options: list[str] = []
    if not is_verbose:
        given = ProjectSettings()
        level_of_file = given.dbt_engine_log_level_file or given.dbt_log_level_file
        options = ["--log-level", "none", "--log-level-file", level_of_file]
    listener = _Listener(is_verbose)
    # Not before something is told: dbt takes seconds to import.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    before = None if arguments else PassedBefore()
    without = ["--exclude-resource-type", "unit_test"] if before and before.count else []
    try:
        parsed = {"manifest": manifest} if manifest is not None else {}
        outcome = dbtRunner(callbacks=[listener], **parsed).invoke([*options, "build", *without, *arguments])
    finally:
        listener.end()
        DuckDBConnectionManager.close_all_connections()
    results = list(getattr(outcome.result, "results", None) or [])
    seconds = time.monotonic() - start
    if not outcome.success:
        _tell_failure(outcome.exception, results, seconds, is_verbose)
        return 1 if outcome.exception is None else 2
    if before and not before.count:
        before.note(sum(one.node.resource_type == "unit_test" for one in results))
    if results:
        _tell_success(results, seconds, listener.adapter == "duckdb", before.count if before and without else 0)
    return 0


def _counted(results: list[Any]) -> str:
    """``72 models, 3 seeds and 402 data tests``."""
    names = {"test": "data test", "unit_test": "unit test"}
    of_kind = Counter(names.get(str(one.node.resource_type), str(one.node.resource_type)) for one in results)
    del of_kind["operation"]  # hooks
    texts = [f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in sorted(of_kind.items())]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _tell_failure(exception: BaseException | None, results: list[Any], seconds: float, is_verbose: bool) -> None:
    failed = [one for one in results if one.status in ("error", "fail", "runtime error", "partial success")]
    skipped = [one for one in results if one.status == "skipped"]
    if exception is not None and not isinstance(exception, Exception):
        _tell("Interrupted. Run it again: it goes on where it stopped.")
        return
    if exception is not None:
        _tell(short_error(str(exception)))
        if type(exception).__name__ == "DbtUsageException":
            _tell("The arguments are those of dbt build; dbt build --help lists them.")
    _tell(
        f"\nThe build failed after {seconds:.0f} s"
        + (f": {_counted(failed)} failed (see above)" if failed else "")
        + (f", {_counted(skipped)} were skipped" if skipped else "")
        + "."
        + (" What failed or was skipped keeps the rows that it had." if failed else "")
    )
    if not is_verbose:
        log = ProjectSettings().dbt_log_path / "dbt.log"
        _tell(f"All that dbt said is in {log}; make build VERBOSE=1 shows it.")


def _tell_success(results: list[Any], seconds: float, is_duckdb: bool, passed_before: int) -> None:
    warned = [one for one in results if one.status == "warn"]
    done = [one for one in results if one.status in ("success", "pass", "warn")]
    _tell(f"\nBuilt and tested in {seconds:.0f} s: {_counted(done)}.")
    if passed_before:
        _tell(f"{passed_before} unit tests passed before, and what they depend on has not changed since.")
    if is_duckdb and warehouse().is_file():
        with duckdb.connect(str(warehouse()), read_only=True) as connection:
            for line in warehouse_summary(connection):
                _tell(line)
    for one in warned:
        _tell(f"  warning: {one.node.name}, {one.failures or 0:,} rows")
    if not warned:
        _tell("  no warnings")
    if is_duckdb:
        _tell("\nNext:" + ("" if shutil.which("dbt") else _ACTIVATE) + _NEXT)


def warehouse_summary(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Lines that describe a warehouse: the rows of each mart, net sales, and rejected rows by reason.

    Args:
        connection: An open warehouse, which may hold a part of the tables only.
    """
    found = connection.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_schema in ('instacart', 'online_retail', 'reports', 'audit') order by all"
    ).fetchall()
    lines = []
    for schema, table in found:
        if schema in _MARTS:
            [(rows,)] = connection.execute(f'select count(*) from "{schema}"."{table}"').fetchall()
            lines.append(f"{rows:>14,}  rows in {schema}.{table}")
    reports = [table for schema, table in found if schema == "reports"]
    if reports:
        lines.append(f"{len(reports):>14,}  reports in the schema reports")
    if ("online_retail", "fct_daily_sales") in found:
        [(net, first, last)] = connection.execute(
            "select sum(net_amount), min(invoice_date), max(invoice_date) from online_retail.fct_daily_sales"
        ).fetchall()
        if net is not None:
            lines.append(f"{net:>14,.2f}  pounds of net sales, {first} to {last} (online_retail.fct_daily_sales)")
    if ("audit", "rejected_rows") in found:
        rejected = connection.execute(
            "select source_name, reason, count(*) from audit.rejected_rows group by all order by all"
        ).fetchall()
        lines.append(f"{sum(count for _, _, count in rejected):>14,}  rejected rows (audit.rejected_rows)")
        lines += [f"{count:>14,}    {source}: {reason}" for source, reason, count in rejected]
    return lines

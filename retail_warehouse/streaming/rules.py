"""The rules that judge a row: the compiled SQL of the staging and classification models, run on a DuckDB in memory. The
API has no rules of its own."""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retail_warehouse.errors import DataError
from retail_warehouse.serving.store import Line

# What decides what is compiled.
_DEFINITIONS = (
    "dbt_project.yml",
    "macros/**/*.sql",
    "models/staging/online_retail/*",
    "models/intermediate/online_retail/*",
    "seeds/reference/*.csv",
)
_COMPILER = (sys.executable, "-m", "retail_warehouse.streaming.compiled_rules")
_MEMORY = "160MB"  # twice of what the largest request needs
_FIELDS = tuple(Line.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Event:
    """A line as it was sent.

    Args:
        event_id: Delivery and number of the line, such as ``data.csv:2``.
        line: The line as it stands in a file, or would.
    """

    event_id: str
    line: str


@dataclass(frozen=True, slots=True)
class ShortenedEvent(Event):
    """The beginning of a long line that was rejected, with the verdict, which the beginning alone would not give.

    Args:
        digest: Of the whole line.
        reason: Why it was rejected, one of the reasons of ``audit.rejected_rows``.
        detail: Column and value behind it.
    """

    digest: bytes
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a line cannot be accepted.

    Args:
        reason: One of the reasons of ``audit.rejected_rows``.
        detail: Column and value behind it.
    """

    reason: str
    detail: str


class RulesError(Exception):
    """The rules cannot run, because memory or disk is short. The message names the kind of error, and no row."""


class Rules:
    """Judges events. Do not use it from several threads at once."""

    def __init__(self, compiled: Mapping) -> None:
        """Make the models of compiled rules (see :func:`load`) in memory."""
        self._compiled = compiled
        self._connection = duckdb.connect()
        self._run("set threads = 1")
        self._run(f"set memory_limit = '{_MEMORY}'")
        self._run("set temp_directory = ''")  # rows must not be written anywhere else
        self._run(f"attach ':memory:' as {compiled['database']}")
        seed, staged = compiled["seed"], compiled["staged"]
        relations = [compiled["raw"], staged, seed, compiled["doubted"], *compiled["views"]]
        for schema in {relation["relation"].rpartition(".")[0] for relation in relations}:
            self._run(f"create schema if not exists {schema}")
        self._run(f"use {compiled['database']}")
        self._run(
            "create table landed_events "
            "(event_id varchar, landing_file varchar, landing_position integer, line varchar, "
            "landed_reason varchar, landed_detail varchar)"
        )
        self._connection.execute(
            f"create table {seed['relation']} as select * from read_csv($1, all_varchar = true)", [seed["path"]]
        )
        self._run(f"create view {compiled['raw']['relation']} as {compiled['raw']['sql']}")
        self._run(f"create table {staged['relation']} as {staged['sql']}")
        # There are no files here: the stream stands alone.
        self._run(f"create table {compiled['of_files']} as select * from {staged['relation']} limit 0")
        unioned, *views = compiled["views"]
        self._run(f"create view {unioned['relation']} as {unioned['sql']}")
        doubted = compiled["doubted"]
        self._run(f"create table {doubted['relation']} as select * from ({doubted['sql']}) limit 0")
        for view in views:
            self._run(f"create view {view['relation']} as {view['sql']}")

    def _run(self, statement: str) -> None:
        self._connection.execute(statement)

    def judge(self, events: Sequence[Event]) -> dict[str, Line | Rejection]:
        """The verdict on each event, by its ``event_id``, which must not repeat.

        Raises:
            RulesError: The rules do not run.
        """
        try:
            return self._judge(events)
        except duckdb.Error as error:
            raise RulesError(f"The rules do not run: {type(error).__name__}.") from error

    def _judge(self, events: Sequence[Event]) -> dict[str, Line | Rejection]:
        compiled = self._compiled
        self._run("begin")
        try:
            self._run("delete from landed_events")
            self._connection.execute(
                "insert into landed_events select unnest($1::varchar[]), '', generate_subscripts($1::varchar[], 1), "
                "unnest($2::varchar[]), null, null",
                [[event.event_id for event in events], [event.line for event in events]],
            )
            staged = compiled["staged"]
            self._run(f"create or replace table {staged['relation']} as {staged['sql']}")
            _, rejected, classified = (view["relation"] for view in compiled["views"])
            verdicts: dict[str, Line | Rejection] = {
                values[0]: Line(*values)
                for values in self._connection.execute(f"select {', '.join(_FIELDS)} from {classified}").fetchall()
            }
            rejections = f"select file_name || ':' || row_number, reason, detail from {rejected}"
            for event_id, reason, detail in self._connection.execute(rejections).fetchall():
                verdicts[event_id] = Rejection(reason, detail)
        finally:
            self._run("rollback")
        return verdicts


def load(project: Path) -> dict:
    """The compiled rules of a project. They are compiled again when a definition has changed.

    Args:
        project: Folder of ``dbt_project.yml``.

    Raises:
        DataError: Not a project's folder, or dbt cannot compile it.
    """
    if not (project / "dbt_project.yml").is_file():
        raise DataError(f"There is no dbt_project.yml in {project}; run this in the project's folder.")
    digest = hashlib.sha256()
    for pattern in _DEFINITIONS:
        for path in sorted(project.glob(pattern)):
            digest.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    kept = project / "target" / f"streaming_rules_{digest.hexdigest()[:16]}.json"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        program = [*_COMPILER, str(kept.absolute())]
        with tempfile.TemporaryFile("w+") as told:
            # In a group of its own: it goes on when this process is ended, and the next one finds what it compiled.
            run = subprocess.run(program, cwd=project, stdout=told, stderr=told, check=False, start_new_session=True)
            if run.returncode or not kept.is_file():
                told.seek(0)
                raise DataError(f"dbt cannot compile the rules:\n{told.read().strip()[-4000:]}")
    rules = json.loads(kept.read_text(encoding="utf-8"))
    rules["seed"]["path"] = str(project / rules["seed"]["path"])
    return rules

"""The dbt-duckdb plugin that ``profiles.yml`` names. It makes the reader of raw files available as SQL functions, and
checks the warehouse file before DuckDB opens it."""

import atexit
import contextlib
import json
import weakref
from collections.abc import Callable
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from retail_warehouse import mending, parquet_folders, raw_files
from retail_warehouse.warehouse_file import WarehouseProblem, copies_of, refuse_unusable

_FUNCTIONS = (
    "list_raw_files",
    "list_landed_files",
    "look_at_raw_files",
    "mend_header",
    "begin_parquet_folder",
    "end_parquet_folder",
)


class Plugin(BasePlugin):
    """Registers the functions for files and folders. Each takes text and returns JSON."""

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Called before the warehouse is opened.

        Raises:
            DbtRuntimeError: It cannot be used; the message says why, and what to do.
        """
        try:
            refuse_unusable(creds.path, config)
        except WarehouseProblem as error:
            raise DbtRuntimeError(str(error)) from error

    def configure_connection(self, conn: Any) -> None:
        """Called once the warehouse is open."""
        copies = copies_of(self.creds.path if self.creds else ":memory:")

        def look_at_raw_files(asked: str) -> str:
            return json.dumps([_looked_at(file, copies) for file in json.loads(asked)])

        for function in (
            list_raw_files,
            list_landed_files,
            look_at_raw_files,
            mend_header,
            begin_parquet_folder,
            end_parquet_folder,
        ):
            conn.create_function(function.__name__, function, ["VARCHAR"], "VARCHAR", side_effects=True)
        # A connection with Python functions that is open at the end of the process makes DuckDB complain of leaks.
        atexit.register(_close, weakref.ref(conn))


def _close(reference: weakref.ref) -> None:
    conn = reference()
    if conn is not None:
        with contextlib.suppress(Exception):
            for function in _FUNCTIONS:
                conn.remove_function(function)
            conn.close()


def list_raw_files(asked: str) -> str:
    """:func:`retail_warehouse.raw_files.list_files` with its arguments, and its answer, as JSON objects."""
    found = raw_files.list_files(**json.loads(asked))
    return json.dumps({"files": found.files, "problems": found.problems, "notes": found.notes})


def list_landed_files(asked: str) -> str:
    """:func:`retail_warehouse.streaming.merging.listed` with its arguments, and its answer, as JSON objects."""
    from retail_warehouse.streaming import merging  # only where rows are streamed

    found = merging.listed(**json.loads(asked))
    return json.dumps({"files": found.files, "problems": found.problems, "notes": found.notes})


def begin_parquet_folder(folder: str) -> str:
    """:func:`retail_warehouse.parquet_folders.begin`, its answer or problem as JSON."""
    return _step(parquet_folders.begin, folder)


def end_parquet_folder(folder: str) -> str:
    """:func:`retail_warehouse.parquet_folders.end`, its answer or problem as JSON."""
    return _step(parquet_folders.end, folder)


def _step(step: Callable[[str], str], folder: str) -> str:
    try:
        return json.dumps({"folder": step(folder)})
    except OSError as error:
        return json.dumps({"problem": f"{error.filename or folder}: {error.strerror or error}."})


def mend_header(asked: str) -> str:
    """:func:`retail_warehouse.mending.of_header` with its arguments as a JSON object."""
    return mending.of_header(**json.loads(asked))


def _looked_at(file: dict[str, Any], copies: str) -> dict[str, Any]:
    """What is found in a file: by ``look`` or, where ``encoding`` says what was found before, by ``reopen``."""
    try:
        if file.get("encoding"):
            look = raw_files.reopen(file["path"], file["encoding"], copies)
        else:
            look = raw_files.look(file["path"], copies, file.get("declared", ""))
    except raw_files.FileProblem as problem:
        return {"problem": str(problem)}
    told = raw_files.TOLD.get(look.encoding, "")
    return {
        "encoding": look.encoding,
        "header": look.header,
        "is_small": look.is_small,
        "path": look.path,
        "told": told,
    }

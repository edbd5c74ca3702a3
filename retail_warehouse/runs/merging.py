"""Merges the landed files in the bucket, of which an API writes thousands a day, and updates the ledger on Redshift."""

import contextlib
from collections.abc import Sequence
from typing import Any

import duckdb

from retail_warehouse.errors import DataError
from retail_warehouse.redshift_connection import ask, in_parts, insert
from retail_warehouse.streaming.merging import MergeError, Merging, Place

_COLUMNS = {
    **dict.fromkeys(("model_name", "source_name", "table_name", "file_name", "fingerprint", "encoding"), "varchar"),
    **{"processed_at": "timestamp", "tested_at": "timestamp", "content": "varchar"},
}
_ON_REDSHIFT = {name: "varchar(2000)" if type_ == "varchar" else type_ for name, type_ in _COLUMNS.items()}
_ENTRIES = f"select {', '.join(_COLUMNS)} from audit.processed_files where table_name = 'streamed_lines'"


class Ledger:
    """The ledger's entries for streamed rows, read from Redshift into a DuckDB connection. A commit here changes the
    ledger on Redshift in one transaction, or not at all."""

    def __init__(self, connection: Any) -> None:
        """Read the entries.

        Args:
            connection: A connection of redshift_connector with autocommit.
        """
        self._connection = connection
        self._local = duckdb.connect()
        self._local.execute("create schema audit")
        columns = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
        self._local.execute(f"create table audit.processed_files ({columns})")
        rows = ask(self._connection, _ENTRIES)
        if rows:
            values = ", ".join(f"unnest(${place}::{type_}[])" for place, type_ in enumerate(_COLUMNS.values(), start=1))
            self._local.execute(
                f"insert into audit.processed_files select {values}", [list(c) for c in zip(*rows, strict=True)]
            )
        self._before = set(rows)

    def execute(self, sql: str, values: Sequence[object] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a statement in DuckDB; a commit first changes Redshift."""
        if sql == "commit":
            self._change()
        return self._local.execute(sql, values)

    def _change(self) -> None:
        after = set(self._local.execute(_ENTRIES).fetchall())
        new = sorted(after - self._before, key=repr)
        # A model has one entry for a file, so these two columns identify it.
        gone = sorted({(row[0], row[3]) for row in self._before - after})
        ask(self._connection, "begin")
        try:
            for some in in_parts(gone):
                pairs = " or ".join("(model_name = ? and file_name = ?)" for _ in some)
                ask(
                    self._connection,
                    f"delete from audit.processed_files where table_name = 'streamed_lines' and ({pairs})",
                    [value for pair in some for value in pair],
                )
            insert(self._connection, "audit.processed_files", _ON_REDSHIFT, new)
            ask(self._connection, "commit")
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be gone, and the transaction with it
                ask(self._connection, "rollback")
            raise
        self._before = after

    def close(self) -> None:
        """Free its memory."""
        self._local.close()


def merge(connection: Any, place: Place, models: Sequence[str]) -> tuple[int, int]:
    """Merge all files that can be merged.

    Args:
        connection: A connection of redshift_connector with autocommit.
        place: Where the landed files are.
        models: Names of the models that record in the ledger which landed files they have processed.

    Returns:
        How many files were merged, and how many files they became.

    Raises:
        DataError: Files or the ledger cannot be read or written. No row is lost, and the next run resumes.
    """
    removed = made = 0
    try:
        with contextlib.closing(Ledger(connection)) as ledger:
            while True:
                merged = Merging(place, models).step_with(lambda: contextlib.nullcontext(ledger))
                if not merged.removed:
                    return removed, made
                removed, made = removed + len(merged.removed), made + len(merged.made)
    except MergeError as error:
        raise DataError(str(error)) from error
    except Exception as error:  # of the driver
        raise DataError(f"Landed files in {place.name} are not merged: {error}") from error

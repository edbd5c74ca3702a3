"""Fills the serving store from the warehouse, or repairs it."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb

from retail_warehouse.errors import DataError
from retail_warehouse.project import warehouse
from retail_warehouse.serving.store import Delivery, Line, ServingStore, StoreError, delivery_name

_PROCESSED = """
select file_name from audit.processed_files
where table_name = 'streamed_lines' and model_name = 'invoice_lines'
"""
# What was loaded in bulk, with its rejected rows, once the marts hold it.
_DELIVERIES = """
select
    processed.file_name,
    coalesce(last_rows.last_row, 1) as last_row,
    md5(processed.fingerprint || '/' || cast(processed.processed_at as varchar(40))) as fingerprint
from audit.processed_files as processed
left join (
    select file_name, cast(max(row_number) as integer) as last_row
    from staging.stg_online_retail__invoice_lines
    group by file_name
) as last_rows
    on processed.file_name = last_rows.file_name
where processed.model_name = 'invoice_lines' and processed.table_name = 'invoice_lines'
order by processed.file_name
"""
# What dbt has read and does not count: it was rejected, or stands in another file or delivery. Only of files that the
# mart stands for as they were read last; files that were merged since, and are not named any more, are such.
_NOT_COUNTED = """
with settled as (
    select table_name, file_name, fingerprint from audit.processed_files where model_name = 'invoice_lines'
    intersect
    select table_name, file_name, fingerprint from audit.processed_files
    where model_name in ('stg_online_retail__invoice_lines', 'stg_online_retail__streamed_lines')
), unsettled as (
    select file_name from audit.processed_files
    where
        model_name = 'stg_online_retail__streamed_lines'
        and file_name not in (select file_name from settled where table_name = 'streamed_lines')
), staged as (
    select invoice_no, stock_code, file_name, row_number from staging.stg_online_retail__invoice_lines
    where file_name in (select file_name from settled where table_name = 'invoice_lines')
    union
    select invoice_no, stock_code, file_name, row_number from staging.stg_online_retail__streamed_lines
    where
        landing_file not in (select file_name from unsettled)
        and not exists (select 1 from unsettled where file_name like '%.merged-%')
)
select invoice_no, stock_code, file_name || ':' || cast(row_number as varchar(20)) from staged
where invoice_no is not null and stock_code is not null
except
select invoice_no, stock_code, invoice_line_id from online_retail.invoice_lines
"""
_PART = 10_000  # lines; the API writes in between
_LARGE_PART = 50_000  # rows that Redshift is asked for at a time
_SOME_NAMES = 1_000  # in one query
_LINES = f"select {', '.join(Line.__dataclass_fields__)} from online_retail.invoice_lines"
# Of deliveries by their names, without `.gz`.
_OF = "regexp_replace(file_name, '[.][gG][zZ]$', '') in ({})"


class Warehouse(Protocol):
    """An open warehouse, on either engine."""

    def rows(self, sql: str) -> list[tuple]:
        """All rows of a query."""

    def lines(self, condition: str, values: Sequence[str]) -> Iterator[list[tuple]]:
        """Invoice lines, some at a time, that fulfil a condition with a ``?`` for each value; an empty one for all."""


class _DuckDb:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, sql: str) -> list[tuple]:
        return self._connection.execute(sql).fetchall()

    def lines(self, condition: str, values: Sequence[str]) -> Iterator[list[tuple]]:
        found = self._connection.execute(f"{_LINES} {f'where {condition}' if condition else ''}", list(values))
        while some := found.fetchmany(_PART):
            yield some


class _Redshift:
    """The driver holds every row of an answer in memory, so that large ones are asked for in parts."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple]:
        cursor = self._connection.cursor()
        cursor.paramstyle = "qmark"
        cursor.execute(sql, tuple(values))
        return [tuple(row) for row in cursor.fetchall()]

    def rows(self, sql: str) -> list[tuple]:
        return self._execute(sql)

    def lines(self, condition: str, values: Sequence[str]) -> Iterator[list[tuple]]:
        last = ""
        where = f"invoice_line_id > ? {f'and {condition}' if condition else ''}"
        while some := self._execute(
            f"{_LINES} where {where} order by invoice_line_id limit {_LARGE_PART}", [last, *values]
        ):
            yield some
            last = some[-1][0]


@contextlib.contextmanager
def _opened(target: str | None) -> Iterator[Warehouse]:
    """The warehouse: the DuckDB file, or a target of the profile on Redshift."""
    try:
        if target is None:
            with _opened_file(warehouse()) as connection:
                yield _DuckDb(connection)
        else:
            # Not before it is needed: dbt takes seconds to import.
            from redshift_connector import Error

            from retail_warehouse.redshift_connection import connected

            with connected(target) as (connection, _):
                try:
                    yield _Redshift(connection)
                except Error as error:
                    raise DataError(f"The target {target} refuses a query: {error}") from error
    except StoreError as error:
        raise DataError(f"{error} What was published before stays; run it again.") from error


@contextlib.contextmanager
def _opened_file(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    if not file.is_file():
        raise DataError(f"There is no warehouse {file}; run dbt build first.")
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            yield connection
    except duckdb.CatalogException as error:
        raise DataError(f"{file} holds no invoice lines; run dbt build first.") from error
    except duckdb.Error as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def publish(
    store: ServingStore,
    only: bool,
    tell: Callable[[int], None] = lambda lines: None,
    landed: Collection[str] = (),
    target: str | None = None,
) -> int:
    """Put every line of the warehouse into the serving store and return their number. Streamed lines
    that dbt has processed and not accepted are removed, so that a line which is in a file of the same name is found
    once. The store learns which deliveries were loaded in bulk: from then on no streamed line replaces their rows.

    Args:
        store: Gets them.
        only: Also remove lines that the warehouse does not hold. No API may take in rows meanwhile: dbt may not have
            seen them yet.
        tell: Gets the number of lines after each part.
        landed: Files of streamed lines, as paths below the landing folder.
        target: A Redshift target of the dbt profile, such as ``prod``; none for the DuckDB file.

    Raises:
        DataError: The warehouse cannot be read, or the store cannot be written; run it again. Or lines that were landed
            are to be removed, since dbt has not read them yet.
    """
    with _opened(target) as opened:
        if only:
            pending = set(landed) - {name for (name,) in opened.rows(_PROCESSED)}
            if pending:
                raise DataError(
                    f"{len(pending):,} landed files are not in the warehouse yet, such as {min(pending)}; their "
                    "lines would be removed. Start and stop the API, which hands over what is left, run "
                    "`retail-warehouse process --once`, and then this again."
                )
        return _publish(store, opened, only, tell)


def publish_deliveries(
    store: ServingStore, tell: Callable[[str], None] = lambda message: None, target: str | None = None
) -> int:
    """Let the serving store learn which files were loaded in bulk, changed or withdrawn since it was told last, and
    return the number of lines that were put for it; 0 where nothing has changed.

    Args:
        store: Gets them.
        tell: Gets a message before what may take long.
        target: A Redshift target of the dbt profile, such as ``prod``; none for the DuckDB file.

    Raises:
        DataError: The warehouse cannot be read, or the store cannot be written; the next call begins anew.
    """
    with _opened(target) as opened:
        changed = _changed(store, opened)
        if not changed:
            return 0
        tell(f"Publishing {', '.join(sorted(changed)[:3])}{' and others' if len(changed) > 3 else ''} for look-ups")
        return _publish(store, opened, False, lambda lines: None, changed)


def _changed(store: ServingStore, opened: Warehouse) -> dict[str, Delivery | None]:
    """Deliveries, by their names, that the store does not know as they are; None for those that are gone."""
    loaded = {delivery_name(values[0]): Delivery(*values) for values in opened.rows(_DELIVERIES)}
    known = store.deliveries()
    changed: dict[str, Delivery | None] = {name: new for name, new in loaded.items() if known.get(name) != new}
    return changed | dict.fromkeys(known.keys() - loaded.keys())


def _lines(opened: Warehouse, of: Collection[str] | None) -> Iterator[list[tuple]]:
    """All lines, or those of some deliveries."""
    if of is None:
        yield from opened.lines("", ())
        return
    names = sorted(of)
    for begin in range(0, len(names), _SOME_NAMES):
        some = names[begin : begin + _SOME_NAMES]
        yield from opened.lines(_OF.format(", ".join("?" * len(some))), some)


def _publish(
    store: ServingStore,
    opened: Warehouse,
    only: bool,
    tell: Callable[[int], None],
    of: Collection[str] | None = None,
) -> int:
    changed = _changed(store, opened)
    known = store.deliveries()
    # First, so that no line that is streamed meanwhile takes a place of theirs. Without a fingerprint nobody is told
    # that a line of theirs stands there with another content: it may not be there yet.
    for name, delivery in changed.items():
        if delivery:
            last_row = max(delivery.last_row, known[name].last_row if name in known else 1)
            store.set_delivery(Delivery(delivery.file_name, last_row, ""))
    count = 0
    ids: list[str] = []
    for some in _lines(opened, of):
        store.put(Line(*values) for values in some)
        count += len(some)
        tell(count)
        if only or changed:
            ids.extend(values[0] for values in some)
    if only:
        store.keep_only(ids)
    elif changed:
        # What was streamed in the place of their rows, or stood in a file before.
        store.keep_only(ids, of=changed)
    store.remove_keys(opened.rows(_NOT_COUNTED))
    for name, delivery in changed.items():
        if delivery:
            store.set_delivery(delivery)
        else:
            store.drop_delivery(name)
    return count

"""Checks a data folder as dbt would read it, without building the warehouse."""

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retail_warehouse import mending, official, raw_files
from retail_warehouse.errors import DataError
from retail_warehouse.project import artifacts, dbt_says, require_project_folder, short_error

_INSTACART = [name.removesuffix(".csv") for name in official.INSTACART]
#: Source: the variable of its folder, and its gate, the model that counts rejected rows.
_SOURCES = {
    "instacart": ("INSTACART_DATA", "int_instacart_rejections_counted"),
    "online_retail": ("ONLINE_RETAIL_DATA", "int_online_retail_rejections_counted"),
}
#: Source: the variable that declares the encoding of its files.
_ENCODING_VARIABLES = {"online_retail": "ONLINE_RETAIL_ENCODING"}
_REJECTED = {
    "instacart": [
        f"int_{entity}_rejected" for entity in ("aisles", "departments", "products", "orders", "order_products")
    ],
    "online_retail": ["int_invoice_lines_rejected"],
}


def source_of(folder: Path) -> str:
    """The source that the files of a folder belong to, by their names: ``instacart`` or ``online_retail``.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    stems = {name.split("/")[0].lower().removesuffix(".gz").removesuffix(".csv") for name in _listed(folder).files}
    return "instacart" if stems & set(_INSTACART) else "online_retail"


def _listed(folder: Path) -> raw_files.Listing:
    return raw_files.list_files(str(folder.resolve()), tables=_INSTACART)


def check(folder: Path, tell: Callable[[str], None] = print) -> bool:
    """Report what dbt would refuse, reject or warn about, and return whether the build would succeed.

    The project's own models judge the files, in a warehouse of their own that is removed again.

    Args:
        folder: As ``INSTACART_DATA`` or ``ONLINE_RETAIL_DATA`` would name it.
        tell: Gets a line of text at a time.

    Raises:
        DataError: Not in the project's folder, no such folder, or dbt cannot read a file; the text says what mends it.
    """
    require_project_folder()
    source = source_of(folder)
    variable, counted = _SOURCES[source]
    tell(f"{folder} is looked at as a folder of {source}.")
    for note in _listed(folder).notes:
        tell(f"In the folder {note}.")
    gate = f"{source}_rejected_rows_within_limit"
    with artifacts("check") as target:
        warehouse = target / "warehouse.duckdb"
        _remove(warehouse)
        environment = {**os.environ, variable: str(folder.resolve()), "WAREHOUSE_PATH": str(warehouse)}
        build = ["build", "--select", f"+{counted}", gate, "--indirect-selection", "empty"]
        build += ["--exclude-resource-type", "unit_test"]
        is_within_limits, said = dbt_says(build, target, environment)
        try:
            if not warehouse.is_file():
                raise DataError(short_error(said))
            with duckdb.connect(str(warehouse), read_only=True) as connection:
                builds = _report(connection, source, folder.resolve(), is_within_limits, said, tell)
        finally:
            _remove(warehouse)
    command = f"{variable}={shlex.quote(str(folder.resolve()))} dbt build"
    tell(f"Next: {command}" if builds else f"dbt build would fail. Mend the files, then: {command}")
    return builds


def _remove(warehouse: Path) -> None:
    for path in warehouse.parent.glob(f"{warehouse.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _report(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    folder: Path,
    is_within_limits: bool,
    said: str,
    tell: Callable[[str], None],
) -> bool:
    try:
        files = connection.execute(
            "select table_name, file_name, encoding from audit.processed_files where starts_with(model_name, 'stg_') "
            "and source_name = $1 order by table_name, file_name",
            [source],
        ).fetchall()
    except duckdb.CatalogException:
        files = []
    if not files:
        raise DataError(short_error(said))
    rows: dict[tuple[str, str], int] = {}
    for table in sorted({table for table, _, _ in files}):
        for name, count in connection.execute(
            f"select file_name, count(*) from staging.stg_{source}__{table} group by file_name"
        ).fetchall():
            rows[table, name] = count
    rejected = _rejected(connection, source)
    doubted = _doubted(connection, source)
    # Of these the mend is told below.
    left_out = {name for name, verdict, *_ in doubted if verdict != "partly_repeated"}
    for table, name, encoding in files:
        path = str(folder / name)
        read_as = "" if encoding in ("ascii", "utf-8") else f", {raw_files.TOLD.get(encoding, encoding)}"
        tell(f"{rows.get((table, name), 0):>12,} rows in {name}{read_as}")
        _tell_mend(mending.of_encoding(path, encoding, _ENCODING_VARIABLES.get(source, "")), tell)
        if not rows.get((table, name)):
            _tell_mend(f"it holds no rows; get it again, or remove it: rm {shlex.quote(path)}", tell)
        for one in rejected.get((table, name), []):
            tell(f"{'':>12}   rejected: {one.rows:,} {one.reason}, such as line {one.line}: {one.detail}")
            if name not in left_out:
                _tell_mend(mending.of_rejected(one.reason, path, one.line, one.record, one.detail, encoding), tell)
    refused = _tell_doubted(doubted, folder, tell)
    _tell_official_counts(source, folder, rows, tell)
    if not is_within_limits:
        _tell_limits(rows, rejected, tell)
    return is_within_limits and not refused


def _tell_mend(text: str, tell: Callable[[str], None]) -> None:
    if text:
        tell(f"{'':>12}   mend: {text}")


@dataclass(frozen=True, slots=True)
class _Rejected:
    """Rows of a file that are rejected for the same reason, and the first of them."""

    reason: str
    rows: int
    line: int
    detail: str
    record: str | None


def _rejected(connection: duckdb.DuckDBPyConnection, source: str) -> dict[tuple[str, str], list[_Rejected]]:
    """By table and file."""
    found: dict[tuple[str, str], list[_Rejected]] = {}
    for model in _REJECTED[source]:
        for table, name, *values in connection.execute(
            "select table_name, file_name, reason, count(*), min(row_number), min_by(detail, row_number), "
            f"min_by(raw_record, row_number) from intermediate.{model} group by all order by all"
        ).fetchall():
            found.setdefault((table, name), []).append(_Rejected(*values))
    return found


def _doubted(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[str, str, str, str]]:
    """Files that repeat others or have the other date order: name, verdict, name of the other, and what is wrong."""
    if source != "online_retail":
        return []
    return connection.execute(
        "select file_name, verdict, other_name, detail from intermediate.int_invoice_files_doubted order by file_name"
    ).fetchall()


def _tell_doubted(doubted: list[tuple[str, str, str, str]], folder: Path, tell: Callable[[str], None]) -> bool:
    """Report the doubted files, and return whether one of them has the other date order."""
    partly = {name: other for name, verdict, other, _ in doubted if verdict == "partly_repeated"}
    for name, verdict, other, detail in doubted:
        path = folder / name
        tell(f"{name}: {detail}; " + ("all its rows count" if verdict == "partly_repeated" else "it would be left out"))
        if verdict == "repeated":
            _tell_mend(f"rm {shlex.quote(str(path))}", tell)
        elif verdict == "other_date_order":
            _tell_mend(f"write the other order in this file: {mending.dates_exchanged(str(path))}", tell)
        # Of two that share rows, those of the first stay.
        elif (folder / other).is_file() and (partly.get(other) != name or other < name):
            command = mending.without_rows_of(str(path), str(folder / other))
            _tell_mend(f"nothing, if they are to count twice; else {command}", tell)
    refused = any(verdict == "other_date_order" for _, verdict, _, _ in doubted)
    if refused:
        tell("If all files have the other order of dates, declare it:")
        tell("  dbt build --vars '{online_retail_day_first: true}'")
    return refused


def _tell_official_counts(
    source: str, folder: Path, rows: dict[tuple[str, str], int], tell: Callable[[str], None]
) -> None:
    """Report the tables whose row counts differ from those of the official files. For an extract they should."""
    complete = {"invoice_lines": official.ONLINE_RETAIL_ROWS}
    if source == "instacart":
        complete = {name.removesuffix(".csv"): count for name, (_, count) in official.INSTACART.items()}
    of_table: Counter[str] = Counter()
    for (table, _), count in rows.items():
        of_table[table] += count
    others = [
        f"{of_table[table]:,} of {count:,} {table}"
        for table, count in complete.items()
        if table in of_table and of_table[table] != count
    ]
    if others:
        again = f"retail-warehouse fetch instacart --out {shlex.quote(str(folder))} tells what is cut off"
        if source == "online_retail":
            again = f"retail-warehouse fetch online-retail --out {shlex.quote(f'{folder}_official')} gets the file"
        tell(f"Not the complete official files, but {', '.join(others)}. If they should be: {again}.")


def _tell_limits(
    rows: dict[tuple[str, str], int],
    rejected: dict[tuple[str, str], list[_Rejected]],
    tell: Callable[[str], None],
) -> None:
    of_table: Counter[str] = Counter()
    limits = {}
    for (table, name), reasons in rejected.items():
        count = sum(one.rows for one in reasons)
        of_table[table] += count
        if count == rows.get((table, name)):
            limits["max_rejected_share_of_file"] = 1
    limits = {"max_rejected_rows": max(of_table.values(), default=0), **limits}
    tell("More rows would be rejected than the limits allow (docs/rejected_rows.md). Without them:")
    tell(f"  dbt build --vars '{{{', '.join(f'{name}: {value}' for name, value in limits.items())}}}'")

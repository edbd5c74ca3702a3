"""A look at a data folder, as dbt would take it in, without building the warehouse."""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

from retail_warehouse import raw_files
from retail_warehouse.deliveries import DataError
from retail_warehouse.instacart import OFFICIAL
from retail_warehouse.project import artifacts, dbt_succeeds, must_be_here

_INSTACART = [name.removesuffix(".csv") for name in OFFICIAL]
#: Source: the variable of its folder, the model on which its gate stands, and the models that list what is wrong.
_SOURCES = {
    "instacart": ("INSTACART_DATA", "int_instacart_rejections_counted"),
    "online_retail": ("ONLINE_RETAIL_DATA", "int_online_retail_rejections_counted"),
}
_REJECTED = {
    "instacart": [
        f"int_{entity}_rejected" for entity in ("aisles", "departments", "products", "orders", "order_products")
    ],
    "online_retail": ["int_invoice_lines_rejected"],
}


def source_of(folder: Path) -> str:
    """The source whose files a folder holds, by their names: ``instacart`` or ``online_retail``.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    found = raw_files.list_files(str(folder.resolve()), tables=_INSTACART).files
    stems = {name.split("/")[0].lower().removesuffix(".gz").removesuffix(".csv") for name in found}
    return "instacart" if stems & set(_INSTACART) else "online_retail"


def check(folder: Path, tell: Callable[[str], None] = print) -> bool:
    """Tell what dbt would refuse, reject or warn of, and return whether it would build.

    The project's own models judge the files, in a warehouse of their own that is removed again.

    Args:
        folder: As ``INSTACART_DATA`` or ``ONLINE_RETAIL_DATA`` would name it.
        tell: Gets a line of text at a time.

    Raises:
        DataError: Not in the project's folder, no such folder, or dbt cannot read a file, which it has told.
    """
    must_be_here()
    source = source_of(folder)
    variable, counted = _SOURCES[source]
    tell(f"{folder} is looked at as a folder of {source}.")
    gate = f"{source}_rejected_rows_within_limit"
    with artifacts("check") as target:
        warehouse = target / "check.duckdb"
        _remove(warehouse)
        environment = {**os.environ, variable: str(folder.resolve()), "WAREHOUSE_PATH": str(warehouse)}
        build = ["build", "--select", f"+{counted}", gate, "--indirect-selection", "empty"]
        build += ["--exclude-resource-type", "unit_test"]
        is_within_limits = dbt_succeeds(build, target, environment)
        try:
            if not warehouse.is_file():
                raise DataError(f"{folder} cannot be built. Mend what is told above.")
            with duckdb.connect(str(warehouse), read_only=True) as connection:
                builds = _report(connection, source, is_within_limits, tell)
        finally:
            _remove(warehouse)
    command = f"{variable}={shlex.quote(str(folder.resolve()))} dbt build"
    tell(f"Next: {command}" if builds else f"dbt build would fail. Mend the files, then: {command}")
    return builds


def _remove(warehouse: Path) -> None:
    for path in warehouse.parent.glob(f"{warehouse.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _report(
    connection: duckdb.DuckDBPyConnection, source: str, is_within_limits: bool, tell: Callable[[str], None]
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
        raise DataError("Nothing was read. Mend what is told above.")
    rows: dict[tuple[str, str], int] = {}
    for table in sorted({table for table, _, _ in files}):
        for name, count in connection.execute(
            f"select file_name, count(*) from staging.stg_{source}__{table} group by file_name"
        ).fetchall():
            rows[table, name] = count
    rejected: dict[tuple[str, str], list[str]] = {}
    for model in _REJECTED[source]:
        for table, name, reason, count, example in connection.execute(
            "select table_name, file_name, reason, count(*), min_by(row_number || ': ' || detail, row_number) "
            f"from intermediate.{model} group by all order by all"
        ).fetchall():
            rejected.setdefault((table, name), []).append(f"{count:,} {reason}, such as line {example}")
    for table, name, encoding in files:
        read_as = "" if encoding in ("ascii", "utf-8") else f", {raw_files.TOLD.get(encoding, encoding)}"
        tell(f"{rows.get((table, name), 0):>12,} rows in {name}{read_as}")
        for text in rejected.get((table, name), []):
            tell(f"{'':>12}   rejected: {text}")
    doubted = []
    if source == "online_retail":
        doubted = connection.execute(
            "select file_name, verdict, detail from intermediate.int_invoice_files_doubted order by file_name"
        ).fetchall()
    for name, verdict, detail in doubted:
        tell(f"{name}: {detail}; " + ("all its rows count" if verdict == "partly_repeated" else "it would be left out"))
    refused = [name for name, verdict, _ in doubted if verdict == "other_date_order"]
    if refused:
        tell("Write the dates as 2010-12-01 08:26:00, or, if all files have that order, declare it: ")
        tell("  dbt build --vars '{online_retail_day_first: true}'")
    if not is_within_limits:
        tell("More rows would be rejected than the limits allow (docs/rejected_rows.md).")
    return is_within_limits and not refused

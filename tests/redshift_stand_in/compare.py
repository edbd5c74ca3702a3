"""Every relation of the project, as DuckDB built it and as the stand-in did, row by row."""

import json
import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from .stand_in import StandIn

_SHOWN_ROWS = 3
# Types of DuckDB and of PostgreSQL, without their sizes, that hold the same values.
_FAMILIES = {
    "text": {"varchar", "text", "character", "character varying"},
    "exact number": {"tinyint", "smallint", "integer", "bigint", "hugeint", "decimal", "numeric"},
    "float": {"float", "double", "real", "double precision"},
    "timestamp": {"timestamp", "timestamp without time zone"},
}


@dataclass(frozen=True)
class Table:
    """What a relation holds.

    Attributes:
        columns: Their names, in order.
        rows: All of them, in any order.
        types: Of each column, as the engine names it; without them they are not compared.
    """

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
    types: Sequence[str] = ()


@dataclass
class Comparison:
    """What `compare` found.

    Attributes:
        expected: How many relations the manifest has.
        compared: How many of them are on both sides.
        differences: For each relation (`schema.name`) that differs, how: its missing side, its columns, or the first
            rows that only one side has.
    """

    expected: int
    compared: int = 0
    differences: dict[str, str] = field(default_factory=dict)


def relations(manifest: Mapping[str, Any]) -> list[str]:
    """The relations (`schema.name`) that a manifest's models and seeds make."""
    return sorted(
        f"{node['schema']}.{node['alias']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
        and node["config"]["enabled"]
        and node["config"]["materialized"] != "ephemeral"
    )


def difference(duckdb_table: Table | None, redshift_table: Table | None, leave_out: Iterable[str] = ()) -> str | None:
    """How two tables differ as multisets of rows, with the order of their columns; None where they are the same.

    Values are the same if their kind and value are: 1.5 is 1.50 and the integer 1 the decimal 1, but no float, text or
    boolean.

    Raises:
        ValueError: a column to leave out is in neither, or no column is left.
    """
    missing = [name for name, table in (("DuckDB", duckdb_table), ("Redshift", redshift_table)) if table is None]
    if duckdb_table is None or redshift_table is None:
        return f"missing on {' and '.join(missing)}"
    unknown = set(leave_out) - {*duckdb_table.columns, *redshift_table.columns}
    if unknown:
        raise ValueError(f"no such column to leave out: {', '.join(sorted(unknown))}")
    if list(duckdb_table.columns) != list(redshift_table.columns):
        return f"columns: {', '.join(duckdb_table.columns)} on DuckDB, {', '.join(redshift_table.columns)} on Redshift"
    kept = [index for index, column in enumerate(duckdb_table.columns) if column not in set(leave_out)]
    if not kept:
        raise ValueError("all columns are left out")
    if duckdb_table.types and redshift_table.types:
        for index in kept:
            pair = duckdb_table.types[index], redshift_table.types[index]
            if _family(pair[0]) != _family(pair[1]):
                return f"type of {duckdb_table.columns[index]}: {pair[0]} on DuckDB, {pair[1]} on Redshift"
    ours, theirs = _multisets(_columns(duckdb_table, kept), _columns(redshift_table, kept))
    if dict.__eq__(ours, theirs):  # that of Counter asks for each row once more
        return None
    told = [_told(name, extra) for name, extra in (("DuckDB", ours - theirs), ("Redshift", theirs - ours)) if extra]
    return "; ".join(told) or None


def compare(
    manifest_path: Path,
    duckdb_path: Path,
    stand_in: StandIn,
    *,
    leave_out_columns: Mapping[str, set[str]] | None = None,
) -> Comparison:
    """Compares every model and seed of the manifest; those that are off or ephemeral make no relation.

    Args:
        manifest_path: Of a dbt run on either side; both must use the same schemas.
        duckdb_path: The warehouse that DuckDB built.
        stand_in: The one that holds the other.
        leave_out_columns: Columns with the time of the run, for each relation (`schema.name`).

    Raises:
        ValueError: a relation or column to leave out does not exist.
    """
    left_out = dict(leave_out_columns or {})
    names = relations(json.loads(manifest_path.read_text()))
    unknown = left_out.keys() - set(names)
    if unknown:
        raise ValueError(f"no such relation: {', '.join(sorted(unknown))}")
    found = Comparison(expected=len(names))
    with duckdb.connect(str(duckdb_path), read_only=True) as connection:
        for name in names:
            duckdb_table = _of_duckdb(connection, name)
            stood_in = stand_in.table(name)
            redshift_table = Table(*stood_in, stand_in.types(name)) if stood_in else None
            found.compared += duckdb_table is not None and redshift_table is not None
            if told := difference(duckdb_table, redshift_table, left_out.get(name, ())):
                found.differences[name] = told
    return found


def _of_duckdb(connection: duckdb.DuckDBPyConnection, relation: str) -> Table | None:
    schema, name = relation.split(".")
    known = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, name]
    )
    if not known.fetchall():
        return None
    result = connection.execute(f'select * from "{schema}"."{name}"')
    columns, rows = [column[0] for column in result.description or []], result.fetchall()
    described = connection.execute(f'describe "{schema}"."{name}"').fetchall()
    return Table(columns, rows, [column[1] for column in described])


def _family(type_name: str) -> str:
    """What values of the type are, whatever their size."""
    name = type_name.lower().partition("(")[0]
    return next((family for family, names in _FAMILIES.items() if name in names), name)


def _columns(table: Table, kept: Sequence[int]) -> list[Sequence[Any]]:
    """The values of each column."""
    columns: list[Sequence[Any]] = list(zip(*table.rows, strict=True))
    return [columns[index] for index in kept] if columns else [() for _ in kept]


def _multisets(
    ours: Sequence[Sequence[Any]], theirs: Sequence[Sequence[Any]]
) -> tuple[Counter[tuple[Any, ...]], Counter[tuple[Any, ...]]]:
    """The rows of two tables, given by columns, and how often each is there. Only the values of columns that need it
    are distinguished one by one."""
    pairs = [
        pair if _is_plain(*pair) else tuple(list(map(_distinguished, column)) for column in pair)
        for pair in zip(ours, theirs, strict=True)
    ]
    return Counter(zip(*(pair[0] for pair in pairs), strict=True)), Counter(
        zip(*(pair[1] for pair in pairs), strict=True)
    )


def _is_plain(*columns: Sequence[Any]) -> bool:
    """Whether Python's equality tells the values of columns apart as `difference` does: there are no two kinds that it
    takes for equal, no NaN, and nothing that cannot be counted."""
    kinds = {kind for column in columns for kind in set(map(type, column))} - {type(None)}
    if kinds == {float}:
        return not any(any(map(operator.ne, column, column)) for column in columns)
    return kinds <= {int, Decimal} or (len(kinds) == 1 and not kinds & {list, dict})


def _distinguished(value: Any) -> Any:
    """To Python, True is 1 and 1.0; NaN is not even NaN."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, float):
        return ("float", "NaN" if math.isnan(value) else value)
    if isinstance(value, list | dict):
        return ("nested", repr(value))  # which can be counted
    return value


def _told(side: str, rows: Counter[tuple[Any, ...]]) -> str:
    shown = [f"{_plain(row)} x {times}" if times > 1 else f"{_plain(row)}" for row, times in rows.items()][:_SHOWN_ROWS]
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return f"only on {side}: {', '.join(shown)}{more}"


def _plain(row: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(value[1]) if isinstance(value, tuple) else repr(value) for value in row) + ")"

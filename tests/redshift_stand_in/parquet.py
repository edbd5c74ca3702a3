"""Between Parquet files and the CSV files that PostgreSQL reads and writes, with DuckDB."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from .refusals import NotEmulated, refuse

# PostgreSQL's name of a column's type, and DuckDB's name of the one Parquet type that fits it.
_TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "text": "VARCHAR",
    "character varying": "VARCHAR",
}
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
# How UNLOAD writes other values into a path, the guide does not say.
_PLAIN_PARTITION = re.compile(r"[A-Za-z0-9._-]+$")


@dataclass(frozen=True)
class Column:
    """A column of a table, or of a query.

    Attributes:
        name: Its name.
        type: Its type, as PostgreSQL's `format_type` writes it.
    """

    name: str
    type: str

    @property
    def of_parquet(self) -> str:
        """DuckDB's name of the Parquet type that Redshift reads and writes for it.

        Raises:
            NotEmulated: it is not known here.
        """
        if match := re.fullmatch(r"numeric\((\d+),(\d+)\)", self.type):
            return f"DECIMAL({match[1]},{match[2]})"
        try:
            return _TYPES[re.sub(r"\(\d+\)$", "", self.type)]
        except KeyError:
            raise NotEmulated(f'Parquet for the type {self.type} of column "{self.name}"') from None

    @property
    def bytes(self) -> int | None:
        """How many bytes a value may have, of character types with a length."""
        match = re.fullmatch(r"character varying\((\d+)\)", self.type)
        return int(match[1]) if match else None


def parquet_to_csv(source: Path, target: Path, columns: Sequence[Column]) -> None:
    """Writes the rows of a Parquet file as CSV: an empty value is NULL, one in quotation marks an empty text.

    Raises:
        Refused: it is no Parquet file, or does not fit the columns by number, type or length.
        NotEmulated: a column has a type that is not known here.
    """
    with duckdb.connect() as connection:
        try:
            # Not from the folders' names: Redshift reads the columns of the file.
            rows = connection.read_parquet(str(source), hive_partitioning=False)
        except duckdb.Error as error:
            refuse("copy_not_parquet", f"{source.name}: {str(error).splitlines()[0]}")
        if len(rows.columns) != len(columns):
            refuse(
                "copy_columns",
                f"{source.name} has {len(rows.columns)} ({', '.join(rows.columns)}), the table {len(columns)}",
            )
        for column, name, found in zip(columns, rows.columns, rows.types, strict=True):
            if str(found) != column.of_parquet:
                refuse(
                    "copy_type",
                    f'{source.name}: column "{column.name}" is {column.type}, "{name}" of the file {found}',
                )
            if column.bytes is not None:
                [[longest]] = rows.aggregate(f"max(strlen({_name(name)}))").fetchall()
                if longest is not None and longest > column.bytes:
                    refuse(
                        "copy_too_long",
                        f'{source.name}: column "{column.name}" is {column.type}, a value has {longest} bytes',
                    )
        connection.execute(
            f"copy (select * from rows) to {_literal(target)} (format csv, header false, nullstr '', force_quote *)"
        )


def csv_to_parquet(
    source: Path, columns: Sequence[Column], partition_by: Sequence[str]
) -> list[tuple[str, "duckdb.DuckDBPyRelation"]]:
    """The rows of a CSV file of PostgreSQL, typed: for each folder that UNLOAD makes its path and its rows.

    Without `partition_by` there is one folder, without a name.

    Raises:
        Refused: the partition columns are not some of the columns.
        NotEmulated: a type or a partition's value is not known here.
    """
    names = [column.name for column in columns]
    if not set(partition_by) <= set(names) or (partition_by and set(partition_by) == set(names)):
        refuse("unload_partition", ", ".join(partition_by))
    spelled = ", ".join(f"{_literal(column.name)}: {_literal(column.of_parquet)}" for column in columns)
    connection = duckdb.connect()
    connection.execute(
        f"create table unloaded as select * from read_csv({_literal(source)}, columns = {{{spelled}}}, header = false,"
        " auto_detect = false, delim = ',', quote = '\"', escape = '\"', allow_quoted_nulls = false,"
        " max_line_size = 100000000)"
    )
    kept = ", ".join(_name(name) for name in names if name not in partition_by)
    if not partition_by:
        return [("", connection.sql(f"select {kept} from unloaded order by rowid"))]
    texts = ", ".join(f"cast({_name(name)} as varchar)" for name in partition_by)
    folders = []
    for values in connection.execute(f"select distinct {texts} from unloaded order by all").fetchall():
        path = "".join(f"{name}={_path_part(value)}/" for name, value in zip(partition_by, values, strict=True))
        wanted = ", ".join("null" if value is None else _literal(value) for value in values)
        rows = connection.sql(
            f"select {kept} from unloaded where row({texts}) is not distinct from row({wanted}) order by rowid"
        )
        folders.append((path, rows))
    return folders


def _path_part(value: str | None) -> str:
    if value is None:
        return _NULL_PARTITION
    if not _PLAIN_PARTITION.match(value):
        raise NotEmulated(f"a partition for the value '{value}'")
    return value


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"

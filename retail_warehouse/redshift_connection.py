"""A connection to Amazon Redshift as dbt makes it, from the same profile."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retail_warehouse.errors import DataError
from retail_warehouse.project import require_project_folder
from retail_warehouse.settings import ProjectSettings

_AT_A_TIME = 500  # rows of one statement; the driver binds at most 32,767 values


def credentials_of(target: str) -> Any:
    """Those of a target, its profile rendered by dbt itself, so that each setting means the same here.

    Args:
        target: Name of the target, such as ``prod``.

    Raises:
        DataError: Not in the project's folder; a setting is missing; or the target is no Redshift.
    """
    from argparse import Namespace

    from dbt.config.runtime import load_profile
    from dbt.flags import set_from_args
    from dbt_common.context import set_invocation_context
    from dbt_common.exceptions import DbtBaseException

    require_project_folder()
    set_invocation_context(os.environ)
    set_from_args(Namespace(profiles_dir=str(ProjectSettings().dbt_profiles_dir)), {})
    try:
        credentials = load_profile(".", {}, target_override=target).credentials
    except DbtBaseException as error:
        raise DataError(str(error)) from error
    if credentials.type == "duckdb":
        raise DataError(f"The target {target} is a DuckDB file; leave --target out, and name it with WAREHOUSE_PATH.")
    return credentials


@contextlib.contextmanager
def connected(target: str) -> Iterator[tuple[Any, str]]:
    """A connection of redshift_connector, where each statement is a transaction, and what the names of the target's
    schemas begin with.

    Args:
        target: Name of the target, such as ``prod``.

    Raises:
        DataError: A setting is missing, or the warehouse cannot be reached.
    """
    from dbt.adapters.redshift.connections import get_connection_method
    from redshift_connector import Error

    credentials = credentials_of(target)
    try:
        connection = get_connection_method(credentials)()
    except Error as error:
        raise DataError(f"The target {target} cannot be reached: {error}") from error
    connection.autocommit = True  # a missing table must not spoil what comes after it
    with contextlib.closing(connection):
        yield connection, f"{credentials.schema}_" if target == "redshift_dev" else ""


def ask(connection: Any, sql: str, values: Sequence[object] = ()) -> list[tuple]:
    """The rows of a statement; none if it returns none.

    Args:
        connection: Of redshift_connector.
        sql: The statement, with a question mark for each value.
        values: The values.

    Raises:
        redshift_connector.Error: Redshift refuses it.
    """
    cursor = connection.cursor()
    cursor.paramstyle = "qmark"
    cursor.execute(sql, tuple(values))
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def in_parts(rows: Sequence[Sequence[object]]) -> Iterator[Sequence[Sequence[object]]]:
    """The rows in parts that one statement may hold."""
    for begin in range(0, len(rows), _AT_A_TIME):
        yield rows[begin : begin + _AT_A_TIME]


def insert(connection: Any, table: str, types: Mapping[str, str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows into a table.

    Args:
        connection: Of redshift_connector.
        table: Its name, with the schema.
        types: Its columns with their types.
        rows: The values, in the order of the columns.

    Raises:
        redshift_connector.Error: Redshift refuses it.
    """
    row = f"select {', '.join(f'cast(? as {type_})' for type_ in types.values())}"
    for some in in_parts(rows):
        values = [value for one in some for value in one]
        ask(connection, f"insert into {table} ({', '.join(types)}) {' union all '.join([row] * len(some))}", values)

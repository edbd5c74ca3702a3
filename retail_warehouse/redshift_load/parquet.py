"""Writes raw files as Parquet for Redshift to load. It uses the SQL that DuckDB reads them with, so that both engines
agree on which rows are malformed."""

import json
from collections.abc import Sequence
from pathlib import Path

from retail_warehouse.errors import DataError
from retail_warehouse.project import artifacts, environment_variables, require_project_folder


def land(source: str, to: str, tables: Sequence[str] = ()) -> None:
    """Read the raw files of a source once and write each raw table as one Parquet file, in place of the last one.

    Args:
        source: Name of the source, ``instacart`` or ``online_retail``, whose files dbt finds as for ``dbt build``.
        to: Folder, made if missing, or URL such as ``s3://bucket/redshift_load/instacart``.
        tables: Write these raw tables alone.

    Raises:
        DataError: Not in the project's folder, or dbt failed, which has told why.
        OSError: The folder cannot be made.
    """
    require_project_folder()
    if "://" not in to:
        folder = Path(to).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        to = str(folder)
    to = to.rstrip("/")
    # Not before it is needed: dbt takes seconds to import.
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "run-operation", "write_raw_parquet", "--target", "dev"]
    arguments += ["--args", json.dumps({"source_name": source, "folder": to, "tables": list(tables)})]
    # A warehouse of its own, in memory: nobody waits for the real one.
    with environment_variables({"WAREHOUSE_PATH": ":memory:"}), artifacts(f"landing_{source}") as target:
        try:
            result = dbtRunner().invoke([*arguments, "--target-path", str(target)])
        finally:
            DuckDBConnectionManager.close_all_connections()  # and give back its memory
    if not result.success:
        raise DataError(
            "Nothing can be loaded until this is corrected; what was landed before may be replaced in part."
        )

"""Writes raw files as Parquet for Redshift to load. It uses the SQL that DuckDB reads them with, so that both engines
agree on which rows are malformed."""

import os
from pathlib import Path

from retail_warehouse.errors import DataError
from retail_warehouse.project import artifacts, require_project_folder


def land(source: str, to: str) -> None:
    """Read the raw files of a source once and write each raw table as one Parquet file, in place of the last one.

    Args:
        source: Name of the source, ``instacart`` or ``online_retail``, whose files dbt finds as for ``dbt build``.
        to: Folder, made if missing, or URL such as ``s3://bucket/redshift_load/instacart``.

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
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "run-operation", "write_raw_parquet", "--target", "dev"]
    arguments += ["--args", f"{{source_name: {source}, folder: {_quoted(to)}}}"]
    before = os.environ.get("WAREHOUSE_PATH")
    # A warehouse of its own, in memory: nobody waits for the real one.
    os.environ["WAREHOUSE_PATH"] = ":memory:"
    try:
        with artifacts(f"landing_{source}") as target:
            result = dbtRunner().invoke([*arguments, "--target-path", str(target)])
    finally:
        if before is None:
            del os.environ["WAREHOUSE_PATH"]
        else:
            os.environ["WAREHOUSE_PATH"] = before
    if not result.success:
        raise DataError(
            "Nothing can be loaded until this is corrected; what was landed before may be replaced in part."
        )


def _quoted(text: str) -> str:
    """A YAML scalar for any text."""
    return "'" + text.replace("'", "''") + "'"

"""Where commands find the dbt project and its warehouse."""

import os
from pathlib import Path

from retail_warehouse.deliveries import DataError


def must_be_here() -> None:
    """Make sure that the command runs in the project's folder.

    Raises:
        DataError: It does not.
    """
    if not Path("dbt_project.yml").is_file():
        raise DataError("There is no dbt_project.yml here; run this in the project's folder.")


def warehouse() -> Path:
    """The DuckDB file, as the profile names it; it may be missing."""
    return Path(os.environ.get("WAREHOUSE_PATH") or "warehouse.duckdb")


def artifacts(command: str) -> Path:
    """Folder for what dbt writes for a command with a warehouse of its own; beside the artifacts of builds, so that
    neither makes dbt parse the project anew for the other."""
    return Path(os.environ.get("DBT_TARGET_PATH") or "target").resolve() / command

"""Checks the DuckDB file before dbt opens it. Otherwise dbt would show a traceback, or fail in the middle of a
build."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

#: Schemas that the project writes, and names that DuckDB keeps for itself: a catalog of that name would make
#: `schema.table`
#: ambiguous.
SCHEMAS = (
    *("raw_instacart", "raw_online_retail", "raw_predictions", "staging", "intermediate", "instacart", "online_retail"),
    *("reference", "reports", "features", "predictions", "audit"),
)
_OF_DUCKDB = ("main", "temp", "system", "memory", "information_schema", "pg_catalog")
_REFUSED = "#;?'\"\\"


class WarehouseProblem(Exception):
    """The warehouse cannot be used. The message says what to do."""


def refuse_unusable(path: str, config: dict[str, Any] | None = None) -> None:
    """Make sure that dbt can open the warehouse, and that its name does not collide with a schema.

    Args:
        path: The file, as ``WAREHOUSE_PATH`` names it, or ``:memory:``.
        config: What DuckDB is opened with.

    Raises:
        WarehouseProblem: It cannot.
    """
    if path == ":memory:" or path.startswith(("md:", "motherduck:")):
        return
    # As dbt-duckdb names the catalog after the file.
    catalog = os.path.basename(path).lstrip(".").split(".")[0]  # noqa: PTH119
    if catalog.lower() in (*SCHEMAS, *_OF_DUCKDB):
        raise WarehouseProblem(
            f"The warehouse cannot be named {Path(path).name}: {catalog.lower()} is the name of a schema in it. Set "
            "WAREHOUSE_PATH to a file with another name, such as warehouse.duckdb; these are taken: "
            f"{', '.join((*SCHEMAS, *_OF_DUCKDB))}."
        )
    found = [character for character in path if character in _REFUSED or not character.isprintable()]
    if found or not catalog:
        raise WarehouseProblem(
            f"The warehouse cannot be named {path!r}: "
            + (f"the character {found[0]!r} cannot be part of its path" if found else "it has no name")
            + f". Set WAREHOUSE_PATH to a path without any of {' '.join(_REFUSED)} and control characters."
        )
    file = Path(path)
    if not file.is_absolute() and not Path("dbt_project.yml").is_file():
        raise WarehouseProblem(
            f"The warehouse {path} would lie in {Path.cwd()}, which is not the project's folder. Run this in "
            "the project's folder, or set WAREHOUSE_PATH to an absolute path."
        )
    folder = file.absolute().parent
    if file.is_dir():
        raise WarehouseProblem(
            f"The warehouse {path} is a folder. Set WAREHOUSE_PATH to a file, such as {path}/warehouse.duckdb."
        )
    if not folder.is_dir():
        raise WarehouseProblem(
            f"The folder of the warehouse, {folder}, does not exist. Make it (mkdir -p {folder}), or set "
            "WAREHOUSE_PATH to a file in another one."
        )
    for needed in (file, folder) if file.exists() else (folder,):
        why = _why_not_writable(needed)
        if why:
            raise WarehouseProblem(
                f"{needed} cannot be written: {why}. Set WAREHOUSE_PATH to a file in a folder that you may write."
            )
    if file.exists():
        _refuse_unreadable(path, config)


def _why_not_writable(path: Path) -> str:
    """Why a file or folder cannot be written; empty if it can."""
    if not os.access(path, os.W_OK):
        return "Permission denied"
    if path.is_dir():
        # What the system grants and the file system does not: /proc, shares, quotas.
        try:
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _refuse_unreadable(path: str, config: dict[str, Any] | None) -> None:
    import duckdb

    try:
        duckdb.connect(path, config=config or {}).close()
    except duckdb.Error as error:
        text = str(error)
        if "Conflicting lock" in text or "Could not set lock" in text:
            raise WarehouseProblem(
                f"{text}\nAnother program has the warehouse open: a build that runs, a query tool or a notebook. Wait "
                "for it or close it, and run this again; nothing was changed."
            ) from error
        if "different configuration" in text:
            return  # open in this very process
        raise WarehouseProblem(
            f"The warehouse {path} cannot be opened: {text}\nMove it away and build again: everything in it is made "
            "from the raw files. Or set WAREHOUSE_PATH to another file."
        ) from error


def copies_of(path: str) -> str:
    """The folder for the copies in UTF-8 of raw files that DuckDB cannot read: beside the warehouse, or, for one in
    memory, a temporary one.

    Args:
        path: The file of the warehouse, or ``:memory:``.
    """
    if path != ":memory:":
        return str(Path(f"{path}.copies").absolute())
    folder = tempfile.mkdtemp(prefix="retail_warehouse_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder

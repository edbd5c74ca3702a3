"""Sets aside streamed rows that stop a build on Redshift, so that they do not block the rows of others.

Redshift cannot try rows without changing tables that people read. DuckDB builds the same models from the files that the
run has copied, so it finds the rows there (``streaming/set_aside.py``). What it sets aside is moved in the bucket too.
"""

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from retail_warehouse.errors import DataError
from retail_warehouse.project import environment_variables
from retail_warehouse.redshift_connection import ask, connected, insert
from retail_warehouse.runs.bucket import STREAMED
from retail_warehouse.runs.redshift import TARGET
from retail_warehouse.runs.run import Run
from retail_warehouse.streaming.landing_folder import SET_ASIDE as FOLDER
from retail_warehouse.streaming.merging import S3

#: Streamed rows that wait until they can be built.
SET_ASIDE = f"{STREAMED}/{FOLDER}"

_AGAIN = "-again"  # ends the name of a file whose rows were set aside before
_COLUMNS = {
    **dict.fromkeys(("landing_file", "event_id"), "varchar(1000)"),
    **dict.fromkeys(("raw_record", "problem"), "varchar(4000)"),
    "set_aside_at": "timestamp",
}
_TABLE = f"""
create table if not exists audit.set_aside_lines (
    {", ".join(f"{name} {type_} not null" for name, type_ in _COLUMNS.items())}
)
"""

Find = Callable[[dict[str, Path], Callable[[str], None]], tuple[int, str]]


def find(folders: dict[str, Path], tell: Callable[[str], None]) -> tuple[int, str]:
    """Let DuckDB build the models, and set aside the streamed rows that it cannot build, on the disk.

    Args:
        folders: The raw files and the landing folder, by the variable that names them.
        tell: Gets a line of progress.

    Returns:
        How many rows were set aside, and what dbt says of them; 0 where DuckDB builds them all.

    Raises:
        DataError: DuckDB cannot build the models for other reasons.
    """
    from retail_warehouse.streaming.micro_batches import MicroBatches
    from retail_warehouse.streaming.set_aside import NotTried

    landing = folders["ONLINE_RETAIL_LANDING"].resolve()
    given = {name: str(path.resolve()) for name, path in folders.items()}
    with tempfile.TemporaryDirectory(dir=landing.parent) as scratch:
        given["WAREHOUSE_PATH"] = str(Path(scratch) / "tried.duckdb")
        (Path(scratch) / "nothing").mkdir()
        with environment_variables({**given, "ONLINE_RETAIL_LANDING": str(Path(scratch) / "nothing")}):
            batches = MicroBatches(landing, tell)
        try:
            with environment_variables(given):
                return batches.separate()
        except NotTried as error:
            raise DataError(f"Which streamed rows cause it could not be tried: {error}") from error


def separate(run: Run, folders: dict[str, Path], find: Find = find) -> int:
    """Move the streamed rows that DuckDB cannot build out of the way of the others, in the bucket.

    Args:
        run: The run, which has copied the files.
        folders: See :func:`find`.
        find: Finds the rows.

    Returns:
        How many rows were set aside.

    Raises:
        DataError: The rows could not be tried or moved. Every row stays in at least one object, and one that is in two
            counts once.
    """
    landing, before = folders["ONLINE_RETAIL_LANDING"], run.files(STREAMED)
    count, told = find(folders, run.tell)
    if not count:
        return 0
    problem = " ".join(told.split())
    after = {
        path.relative_to(landing).as_posix(): path
        for path in landing.glob("*/*")
        if path.suffix in (".ndjson", ".rows")
    }
    # A copy has the time of its object. A run that was killed here may have written objects of the same names.
    written = [
        name
        for name, path in sorted(after.items())
        if name not in before or path.stat().st_mtime != before[name].modified.timestamp()
    ]
    gone = sorted(name for name in before if name.endswith(".ndjson") and name not in after)
    place = S3(run.bucket.url(STREAMED), run.bucket.client)
    if not all(place.is_settled(name, before[name].size) for name in gone):
        raise DataError(f"{count:,} streamed rows cannot be built ({problem}). The next run sets them aside.")
    for of_kind in (".rows", ".ndjson"):
        run.bucket.upload(landing, STREAMED, [name for name in written if name.endswith(of_kind)])
    run.bucket.remove(STREAMED, gone)
    _forget_listings(run)
    enter(run, problem)
    return count


def land_again(run: Run) -> str:
    """Land all rows again that are set aside, and return a line about it. If they still cannot be built, the build sets
    them aside once more.

    Args:
        run: The run.

    Raises:
        DataError: The bucket cannot be read or written.
    """
    names = _waiting(run)
    for name in names:
        day, _, stem = PurePosixPath(name).stem.partition("_")
        content = run.bucket.read(f"{SET_ASIDE}/{name}")
        if content:
            run.bucket.write(f"{STREAMED}/{day}/{stem.removesuffix(_AGAIN)}{_AGAIN}.ndjson", content[0])
        run.bucket.remove(SET_ASIDE, [name])
    _forget_listings(run)
    enter(run, "")
    return f"{len(names):,} files with rows that were set aside"


def _waiting(run: Run) -> list[str]:
    """The files with rows that are set aside, as paths below ``SET_ASIDE``."""
    return [name for name in run.files(SET_ASIDE) if name.endswith(".rows")]


def _forget_listings(run: Run) -> None:
    for prefix in (STREAMED, SET_ASIDE):
        run.written(prefix)


def enter(run: Run, problem: str) -> None:
    """Make ``audit.set_aside_lines`` on Redshift list the rows that are set aside.

    Args:
        run: The run.
        problem: What dbt said of rows that are new there.

    Raises:
        DataError: The bucket cannot be read, or the warehouse cannot be reached.
    """
    from redshift_connector import Error

    waiting = {f"{FOLDER}/{name}": name for name in _waiting(run)}
    now = str(datetime.now(UTC).replace(tzinfo=None, microsecond=0))
    with connected(TARGET) as (connection, _):
        try:
            ask(connection, "create schema if not exists audit")
            ask(connection, _TABLE)
            known = {name for (name,) in ask(connection, "select distinct landing_file from audit.set_aside_lines")}
            for name in sorted(known - waiting.keys()):
                ask(connection, "delete from audit.set_aside_lines where landing_file = ?", [name])
            entries = [
                (name, *row, problem[:1_000], now)
                for name in sorted(waiting.keys() - known)
                for row in _rows(run, waiting[name])
            ]
            insert(connection, "audit.set_aside_lines", _COLUMNS, entries)
        except Error as error:
            raise DataError(f"The target {TARGET} refuses a query: {error}") from error


def _rows(run: Run, name: str) -> list[tuple[str, str]]:
    content = run.bucket.read(f"{SET_ASIDE}/{name}")
    events = [json.loads(line) for line in content[0].splitlines()] if content else []
    return [(event["event_id"], event["line"][:1_000]) for event in events]

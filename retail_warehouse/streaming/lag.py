"""How far dbt is behind what was landed: ``process`` notes what it has read, and the API tells how old the rest is."""

import contextlib
import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

_NOTE = ".processed"
_TIME = "%Y%m%dT%H%M%S%f"  # with which the names of landed files begin


def note_processed(folder: Path, names: Collection[str]) -> None:
    """Note the files that dbt has read; what goes wrong is left to the next time.

    Args:
        folder: The landing folder.
        names: Names of all landed files that dbt has seen.
    """
    if not names:
        return
    with contextlib.suppress(OSError):
        new = folder / f"{_NOTE}.{os.getpid()}"
        new.write_text(max(names), encoding="utf-8")
        new.replace(folder / _NOTE)


def seconds_behind(folder: Path, now: datetime | None = None) -> float | None:
    """Age of the oldest landed file that dbt has not read, in seconds; 0 if there is none, None if nothing is known of
    dbt, since no ``process`` runs on this folder.

    Args:
        folder: The landing folder.
        now: The present, in UTC.
    """
    try:
        last = (folder / _NOTE).read_text(encoding="utf-8")
        # Files are landed in folders by day; those before that of the last one were read.
        days = (day for day in folder.glob("day=*") if day.name[4:].replace("-", "") >= last[:8])
        waiting = [path.name for day in days for path in day.glob("*.ndjson") if path.name > last]
        if not waiting:
            return 0.0
        landed = datetime.strptime(min(waiting).partition("-")[0], _TIME).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None
    return max(0.0, ((now or datetime.now(UTC)) - landed).total_seconds())

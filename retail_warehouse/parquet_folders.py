"""Replaces folders of exported Parquet files: the new files are written next to the old ones, then take their place."""

import shutil
from pathlib import Path


def _beside(folder: Path, what: str) -> Path:
    # Readers of Parquet pass over names that start with a dot.
    return folder.with_name(f".{folder.name}.{what}")


def begin(folder: str) -> str:
    """Make an empty folder for the new files of an export.

    Args:
        folder: Where the files are to be in the end.

    Returns:
        The folder to write to, on the same disk.

    Raises:
        OSError: It cannot be made.
    """
    new = _beside(Path(folder), "new")
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(new, ignore_errors=True)  # what a killed export left
    new.mkdir()
    return str(new)


def end(folder: str) -> str:
    """Put the new files in the place of those of the last export.

    Between two renames there is no folder for a moment; a process that is killed in it leaves the old files under
    ``.<name>.old`` beside the new ones, and the next export removes both.

    Args:
        folder: As given to :func:`begin`.

    Returns:
        The folder.

    Raises:
        OSError: A folder cannot be renamed or removed.
    """
    target, old = Path(folder), _beside(Path(folder), "old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    _beside(target, "new").rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return folder

"""Finds the dbt project and its warehouse, and runs dbt for commands."""

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from filelock import FileLock

from retail_warehouse.errors import DataError
from retail_warehouse.settings import ProjectSettings


def require_project_folder() -> None:
    """Make sure that the command runs in the project's folder.

    Raises:
        DataError: It does not.
    """
    if not Path("dbt_project.yml").is_file():
        raise DataError("There is no dbt_project.yml here; run this in the project's folder.")


def warehouse() -> Path:
    """The DuckDB file, as the profile names it; it may be missing."""
    return ProjectSettings().warehouse_path


@contextlib.contextmanager
def artifacts(command: str) -> Iterator[Path]:
    """A folder for what dbt writes for a command with a warehouse of its own, for one process at a time. It stays, so
    that dbt goes on from what it parsed the last time, and lies beside the artifacts of builds, so that neither makes
    dbt parse anew for the other. Where none can be kept it is a temporary one.

    Args:
        command: Name of the folder.
    """
    folder = ProjectSettings().dbt_target_path.resolve() / command
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / "lock"))
        except OSError:
            yield Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            yield folder


def dbt_succeeds(arguments: list[str], target: Path, environment: Mapping[str, str]) -> bool:
    """Run dbt on DuckDB in its own process, print its errors, and return whether it succeeded.

    Args:
        arguments: Command and options.
        target: Folder for its artifacts and log, as from :func:`artifacts`.
        environment: All environment variables of the process.
    """
    succeeds, said = dbt_says(arguments, target, environment)
    print(said, end="", flush=True)
    return succeeds


def dbt_says(arguments: list[str], target: Path, environment: Mapping[str, str]) -> tuple[bool, str]:
    """Run dbt on DuckDB in its own process, and return whether it succeeded and what it printed.

    Args:
        arguments: Command and options.
        target: Folder for its artifacts and log, as from :func:`artifacts`.
        environment: All environment variables of the process.
    """
    dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", *arguments, "--target", "dev"]
    dbt += ["--target-path", str(target), "--log-path", str(target)]
    done = subprocess.run(
        dbt, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    return done.returncode == 0, done.stdout


def short_error(said: str) -> str:
    """The error message of dbt without details for developers: time, colours, and the chain of macro calls.

    Args:
        said: As from :func:`dbt_says`, or the message of an exception of dbt.
    """
    lines = click.unstyle(said).rpartition("Encountered an error:\n")[2].splitlines()
    for_developers = ("  > ", "Compilation Error in ", "Runtime Error", "Database Error")
    return textwrap.dedent("\n".join(line for line in lines if not line.startswith(for_developers))).strip()


@contextlib.contextmanager
def environment_variables(given: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process for the duration of a block.

    Args:
        given: The variables.
    """
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

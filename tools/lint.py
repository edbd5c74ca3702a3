"""Lints what git tracks, whatever lies beside it: Python with ruff, SQL with sqlfluff, workflows with actionlint and
zizmor. Files that differ from the last commit come first, and SQL that passed before is not looked at again until it,
or what it is rendered from, changes.

Run `make lint`, or name files, as pre-commit does."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Where SQL is linted; macros and generic tests are Jinja, which sqlfluff cannot render by itself.
SQL_FOLDERS = ("models/", "analyses/", "tests/singular/")
# What the verdict on any file may depend on; besides YAML, since `meta` and tests are rendered into some models.
SHARED = ("macros/", ".sqlfluff", "pyproject.toml", "tools/lint.py", "profiles.yml")
LINTERS = ("sqlfluff", "sqlfluff-templater-dbt", "dbt-core", "dbt-duckdb")
PASSED = PROJECT / "target/lint/passed.json"


def git(*arguments: str) -> list[str] | None:
    """The files that a git command lists; None if it fails."""
    done = subprocess.run(["git", *arguments, "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return [path for path in done.stdout.split("\0") if path and (PROJECT / path).is_file()]


def run(program: str, *arguments: str, **environment: str) -> bool:
    """Run a program of the virtual environment, which prints its findings. Return whether there were none."""
    command = [str(BIN / program), *arguments]
    return subprocess.run(command, cwd=PROJECT, env=os.environ | environment, check=False).returncode == 0


def digest(*paths: str) -> str:
    """A hash of the names and contents of files."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.encode() + b"\0" + (PROJECT / path).read_bytes() + b"\0")
    return found.hexdigest()


def record() -> dict[str, str]:
    """The hashes with which SQL files last passed."""
    try:
        return json.loads(PASSED.read_text())
    except (OSError, ValueError):
        return {}


def lint_sql(files: list[str], tracked: list[str], changed: set[str]) -> bool:
    """Lint the SQL files that have changed since they passed, files of the working copy first."""
    depends_on = [path for path in tracked if path.startswith(SHARED) or path.endswith((".yml", ".yaml"))]
    names = sorted(path for path in tracked if path.endswith((".sql", ".csv")))
    versions = [importlib.metadata.version(name) for name in LINTERS]
    shared = hashlib.sha256(json.dumps([digest(*depends_on), names, versions]).encode()).hexdigest()
    digests = {path: f"{shared} {digest(path)}" for path in files}
    passed = record()
    due = [path for path in files if passed.get(path) != digests[path]]
    for batch in ([path for path in due if path in changed], [path for path in due if path not in changed]):
        if not batch:
            continue
        print(f"sqlfluff looks at {len(batch)} of {len(files)} SQL files", flush=True)
        # A warehouse of its own: nobody waits for the one that a query tool has open, and none has to be built.
        if not run("sqlfluff", "lint", "--processes", "1", *here(batch), WAREHOUSE_PATH=":memory:"):
            return False
        passed |= {path: digests[path] for path in batch}
        PASSED.parent.mkdir(parents=True, exist_ok=True)
        new = PASSED.with_suffix(".new")
        new.write_text(json.dumps(passed, indent=0, sort_keys=True))
        new.replace(PASSED)
    return True


def here(files: list[str]) -> list[str]:
    """Files as arguments that no program takes for options."""
    return [f"./{path}" for path in files]


def named(arguments: list[str], tracked: list[str]) -> list[str]:
    """The tracked files that arguments name, or that lie in a folder that they name.

    Raises:
        SystemExit: There is none at one of them.
    """
    found = set()
    for argument in arguments:
        path = Path(argument).resolve()
        below = {file for file in tracked if (PROJECT / file) == path or (PROJECT / file).is_relative_to(path)}
        if not below or not path.is_relative_to(PROJECT):
            sys.exit(f"Git tracks nothing at {argument}; add it first.")
        found |= below
    return [path for path in tracked if path in found]


def main() -> None:
    """Lint what the arguments name, or all that git tracks, and exit with 1 if anything is to be mended."""
    tracked = git("ls-files")
    if tracked is None:
        sys.exit("Lint needs a git checkout, and git: it looks at what git tracks.")
    files = named(sys.argv[1:], tracked) if sys.argv[1:] else tracked
    differing = git("diff", "--name-only", "HEAD")
    changed = set(tracked if differing is None else differing)  # before the first commit, all
    files.sort(key=lambda path: path not in changed)
    python = here([path for path in files if path.endswith((".py", ".ipynb"))])
    sql = [path for path in files if path.endswith(".sql") and path.startswith(SQL_FOLDERS)]
    workflows = here([path for path in files if path.startswith(".github/workflows/")])
    passed = True
    if python:
        passed &= run("ruff", "check", *python)
        passed &= run("ruff", "format", "--check", *python)
    if workflows:
        passed &= run("actionlint", *workflows)
        passed &= run("zizmor", "--offline", "--quiet", "--no-progress", *workflows)
    # The slowest comes last, and only if there is nothing else to mend.
    sys.exit(0 if passed and lint_sql(sql, tracked, changed) else 1)


if __name__ == "__main__":
    main()

"""Lints what git tracks, whatever lies beside it: Python with ruff, SQL with sqlfluff, workflows with actionlint and
zizmor. Files that differ from the last commit come first, and SQL that passed before is not looked at again until it,
or what it is rendered from, changes.

Run `make lint`, or name files, as pre-commit does."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# Where SQL is linted; macros and generic tests are Jinja, which sqlfluff cannot render by itself.
SQL_FOLDERS = ("models/", "analyses/", "tests/singular/")
# What the rendered SQL of any file may depend on.
SHARED = ("macros/", "dbt_project.yml", "profiles.yml.example", ".sqlfluff", "requirements-dev.txt")
PASSED = PROJECT / "target/lint/passed.json"


def git(*arguments: str) -> list[str]:
    """The paths that a git command lists.

    Raises:
        SystemExit: This is no checkout of the repository.
    """
    done = subprocess.run(["git", *arguments, "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Lint needs a git checkout: {done.stderr.strip()}")
    return [path for path in done.stdout.split("\0") if path and (PROJECT / path).is_file()]


def run(program: str, *arguments: str, **environment: str) -> bool:
    """Run a program of the virtual environment, which tells what it finds, and return whether it found nothing."""
    command = [BIN / program, *arguments]
    return subprocess.run(command, cwd=PROJECT, env=os.environ | environment, check=False).returncode == 0


def digest(*paths: str) -> str:
    """What names and contents of files come to."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.encode() + b"\0" + (PROJECT / path).read_bytes() + b"\0")
    return found.hexdigest()


def lint_sql(files: list[str], tracked: list[str], changed: set[str]) -> bool:
    """Lint the SQL files that have not passed as they are now, changed ones before the others."""
    # YAML as well: `meta` and tests are rendered into the SQL of some models.
    shared = digest(*(path for path in tracked if path.startswith(SHARED) or path.endswith((".yml", ".yaml"))))
    digests = {path: f"{shared} {digest(path)}" for path in files}
    passed = json.loads(PASSED.read_text()) if PASSED.exists() else {}
    due = [path for path in files if passed.get(path) != digests[path]]
    for batch in ([path for path in due if path in changed], [path for path in due if path not in changed]):
        if not batch:
            continue
        print(f"sqlfluff looks at {len(batch)} of {len(files)} SQL files", flush=True)
        # A warehouse of its own: nobody waits for the one that a query tool has open, and none has to be built.
        if not run("sqlfluff", "lint", "--processes", "1", *batch, WAREHOUSE_PATH=":memory:"):
            return False
        passed |= {path: digests[path] for path in batch}
        PASSED.parent.mkdir(parents=True, exist_ok=True)
        PASSED.write_text(json.dumps(passed, indent=0, sort_keys=True))
    return True


def main() -> None:
    """Lint the files that the arguments name, or all that git tracks, and exit with 1 if anything is to be mended."""
    tracked = git("ls-files")
    named = {Path(name).resolve().relative_to(PROJECT).as_posix() for name in sys.argv[1:]}
    files = [path for path in tracked if not named or path in named]
    changed = set(git("diff", "--name-only", "HEAD"))
    files.sort(key=lambda path: path not in changed)
    python = [path for path in files if path.endswith((".py", ".ipynb"))]
    sql = [path for path in files if path.endswith(".sql") and path.startswith(SQL_FOLDERS)]
    workflows = [path for path in files if path.startswith(".github/workflows/")]
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

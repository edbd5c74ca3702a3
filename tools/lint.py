"""Lints what git tracks, whatever lies beside it: Python with ruff, SQL with sqlfluff, workflows with actionlint and
zizmor. Files that differ from the last commit come first, and SQL that passed before is not looked at again until it,
or what it is rendered from, changes. A macro that holds the whole query of a model is linted as that model.

Run `make lint`, or name files, as pre-commit does."""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2

PROJECT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Where SQL is linted. Macros and generic tests are Jinja, which sqlfluff cannot render by itself, but for macros that
# are the whole query of a model.
SQL_FOLDERS = ("models/", "analyses/", "tests/singular/")
# What the verdict on any file may depend on; besides YAML, since `meta` and tests are rendered into some models.
SHARED = ("macros/", ".sqlfluff", "pyproject.toml", "tools/lint.py", "profiles.yml")
LINTERS = ("sqlfluff", "sqlfluff-templater-dbt", "dbt-core", "dbt-duckdb")
PASSED = PROJECT / "target/lint/passed.json"
# How a model says that a macro holds its whole query.
WHOLE_QUERY = re.compile(r"^{# All of its SQL is in (macros/\S+_query\.sql),", re.MULTILINE)
# Where such a macro is linted: a copy of the project in which its SQL stands in the model.
COPY = Path("target/lint/project")
COPIED = ("models/", "macros/", "seeds/", "tests/generic/", ".sqlfluff", "dbt_project.yml", "selectors.yml")


def git(*arguments: str) -> list[str] | None:
    """The files that a git command lists; None if it fails."""
    done = subprocess.run(["git", *arguments, "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return [path for path in done.stdout.split("\0") if path and (PROJECT / path).is_file()]


def run(program: str, *arguments: str, folder: Path = Path(), **environment: str) -> bool:
    """Run a program of the virtual environment in a folder of the project. It tells what it finds.

    Returns:
        Whether it found nothing.
    """
    command = [str(BIN / program), *arguments]
    done = subprocess.run(command, cwd=PROJECT / folder, env=os.environ | environment, check=False)
    return done.returncode == 0


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
        of_models = [path for path in batch if not path.startswith("macros/")]
        if of_models and not run("sqlfluff", "lint", "--processes", "1", *here(of_models), WAREHOUSE_PATH=":memory:"):
            return False
        of_macros = [path for path in batch if path.startswith("macros/")]
        if of_macros and not lint_whole_queries({path: whole_queries(tracked)[path] for path in of_macros}, tracked):
            return False
        passed |= {path: digests[path] for path in batch}
        PASSED.parent.mkdir(parents=True, exist_ok=True)
        new = PASSED.with_suffix(".new")
        new.write_text(json.dumps(passed, indent=0, sort_keys=True))
        new.replace(PASSED)
    return True


def whole_queries(tracked: list[str]) -> dict[str, str]:
    """The macros that hold the whole query of a model, each with the first model that says so."""
    found = {}
    for path in tracked:
        if path.startswith("models/") and path.endswith(".sql"):
            for macro in WHOLE_QUERY.findall((PROJECT / path).read_text()):
                found.setdefault(macro, path)
    return found


def as_model(model: str, macro: str) -> tuple[str, str]:
    """The SQL of a macro as that of a model which calls it.

    Args:
        model: Text of the model: a call of the macro, and what sets the arguments.
        macro: Text of the macro's file.

    Returns:
        The text of the model, whose lines have the numbers of those in the macro's file, and that of macros which hand
        it the arguments.

    Raises:
        ValueError: The model does more than call the macro, or the file has more than the macro.
    """
    parts = re.fullmatch(r"({%-? macro (\w+)\(.*?\) -?%})(\n.*\n){%-? endmacro -?%}\n", macro, re.DOTALL)
    if not parts or "endmacro" in parts[3]:
        raise ValueError("a macro that is a whole query begins in line 1 and is all of its file")
    signature, name, body = parts.groups()
    call = re.fullmatch(r"(.*){{ (" + name + r"\(.*\)) }}\s*", model, re.DOTALL)
    if not call or re.sub(r"{#.*?#}|{%.*?%}", "", call[1], flags=re.DOTALL).strip():
        raise ValueError(f"the model has to be one call of {name} and nothing else")
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    [definition] = environment.parse(signature + "{% endmacro %}").find_all(jinja2.nodes.Macro)
    names = [argument.name for argument in definition.args]
    macros = [
        signature + "{{ return([" + ", ".join(names) + "]) }}{% endmacro %}",
        "{% macro given_to_" + name + "() %}" + call[1] + "{{ return(" + call[2] + ") }}{% endmacro %}",
    ]
    given = "given_to_" + name + "()" + ("[0]" if len(names) == 1 else "")
    return "{% set " + ", ".join(names) + " = " + given + " %}" + body, "\n".join(macros) + "\n"


def lint_whole_queries(models: dict[str, str], tracked: list[str]) -> bool:
    """Lint macros as the models that they are the whole query of.

    Args:
        models: The macros' files, each with that of a model.
        tracked: What the project consists of.
    """
    copy = PROJECT / COPY
    shutil.rmtree(copy, ignore_errors=True)
    for path in [*(path for path in tracked if path.startswith(COPIED)), "profiles.yml"]:
        if (PROJECT / path).is_file():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / path, copy / path)
    for macro, model in models.items():
        print(f"{model} stands for {macro}, with the same numbers of lines", flush=True)
        try:
            in_model, in_macro = as_model((PROJECT / model).read_text(), (PROJECT / macro).read_text())
        except ValueError as error:
            print(f"{macro}: {error}.")
            return False
        (copy / model).write_text(in_model)
        (copy / macro).write_text(in_macro)
    found = here(list(models.values()))
    return run("sqlfluff", "lint", "--processes", "1", *found, folder=COPY, WAREHOUSE_PATH=":memory:")


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
    macros = whole_queries(tracked)
    sql = [path for path in files if (path.endswith(".sql") and path.startswith(SQL_FOLDERS)) or path in macros]
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

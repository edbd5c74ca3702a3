"""`make lint` looks at what git tracks and nothing else, at changed files first, and at SQL only once."""

import os
import subprocess
import sys

import jinja2
import lint
import pytest


@pytest.fixture
def linted(tmp_path, monkeypatch):
    """Runs the program in a repository of its own; returns the programs that it runs, with their files."""
    # Within a hook git names the repository of the commit, which is not to be touched; nor is one's own configuration.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("models/a.sql", "models/b.sql", "macros/m.sql", "tools/x.py", ".github/workflows/ci.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("-- as committed\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    monkeypatch.setattr(lint, "PROJECT", tmp_path.resolve())
    monkeypatch.setattr(lint, "PASSED", tmp_path / "target" / "passed.json")
    calls, failing = [], set()

    def run(program: str, *arguments: str, **environment: str) -> bool:
        files = [argument.removeprefix("./") for argument in arguments if argument.startswith("./")]
        calls.append((program, files))
        return not failing & {program, *files}

    monkeypatch.setattr(lint, "run", run)

    def main(*files: str) -> tuple[int, list]:
        calls.clear()
        monkeypatch.setattr(sys, "argv", ["lint.py", *(str(tmp_path / file) for file in files)])
        with pytest.raises(SystemExit) as stopped:
            lint.main()
        return stopped.value.code, list(calls)

    main.folder, main.failing = tmp_path, failing
    return main


CHECKS = [
    ("ruff", ["tools/x.py"]),
    ("ruff", ["tools/x.py"]),
    ("actionlint", [".github/workflows/ci.yml"]),
    ("zizmor", [".github/workflows/ci.yml"]),
]


def test_what_git_does_not_track_is_not_looked_at(linted):
    for name in ("models/beside.sql", "stream/files/beside.sql", "beside.py"):
        (linted.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (linted.folder / name).write_text("no sql, no python (")
    assert linted() == (0, [*CHECKS, ("sqlfluff", ["models/a.sql", "models/b.sql"])])


def test_sql_that_passed_is_looked_at_again_when_it_or_what_it_is_rendered_from_changes(linted):
    linted()
    assert linted() == (0, CHECKS)
    (linted.folder / "models/b.sql").write_text("-- changed\n")
    assert linted() == (0, [*CHECKS, ("sqlfluff", ["models/b.sql"])])
    # Back again, it has passed before, but not last.
    (linted.folder / "models/b.sql").write_text("-- as committed\n")
    assert linted()[1][-1] == ("sqlfluff", ["models/b.sql"])
    (linted.folder / "macros/m.sql").write_text("-- changed\n")
    assert linted()[1][-1] == ("sqlfluff", ["models/a.sql", "models/b.sql"])


def test_changed_files_come_first_and_a_failure_is_not_forgotten(linted):
    (linted.folder / "models/b.sql").write_text("-- changed\n")
    linted.failing.add("models/b.sql")
    for _ in range(2):
        assert linted() == (1, [*CHECKS, ("sqlfluff", ["models/b.sql"])])
    linted.failing.clear()
    assert linted() == (0, [*CHECKS, ("sqlfluff", ["models/b.sql"]), ("sqlfluff", ["models/a.sql"])])


@pytest.mark.parametrize("program", ["ruff", "actionlint", "zizmor"])
def test_what_any_program_finds_fails_the_lint(linted, program):
    linted.failing.add(program)
    assert linted() == (1, CHECKS)


def test_files_and_folders_can_be_named(linted):
    assert linted("models/a.sql") == (0, [("sqlfluff", ["models/a.sql"])])
    assert linted("tools/x.py", "macros/m.sql") == (0, CHECKS[:2])
    assert linted("models", "tools") == (0, [*CHECKS[:2], ("sqlfluff", ["models/b.sql"])])
    (linted.folder / "new.py").touch()
    for name in ("new.py", "none", "..", "/etc"):
        code, calls = linted(name)
        assert code == f"Git tracks nothing at {linted.folder / name}; add it first."
        assert calls == []


MODEL = """{# All of its SQL is in macros/x_query.sql, which is linted as this model. #}
{% set tables = ['a'] %}

{{ x_query(
    tables,
    key='k'
) }}
"""
MACRO = """{% macro x_query(tables, key, rest=none) %}
select {{ key }}
from {{ tables[0] }}
{% endmacro %}
"""


def test_a_macro_that_is_a_whole_query_is_linted_as_its_model(linted):
    for name, text in {"models/a.sql": MODEL, "models/b.sql": MODEL, "macros/x_query.sql": MACRO}.items():
        (linted.folder / name).write_text(text)
    subprocess.run(["git", "add", "."], cwd=linted.folder, check=True)
    files = ["models/a.sql", "models/b.sql"]
    assert linted() == (0, [*CHECKS, ("sqlfluff", files), ("sqlfluff", ["models/a.sql"])])
    copy = linted.folder / lint.COPY
    model, macros = ((copy / name).read_text() for name in ("models/a.sql", "macros/x_query.sql"))
    # What stands where it stood, in a model.
    assert model.splitlines()[1:3] == MACRO.splitlines()[1:3]
    environment = jinja2.Environment()
    environment.globals["return"] = lambda value: value
    # Jinja alone turns what a macro returns into text; dbt does not.
    assert environment.from_string(macros + "{{ x_query(['a'], 'k') }}").render().strip() == "[['a'], 'k', None]"
    assert model.splitlines()[0] == "{% set tables, key, rest = given_to_x_query() %}"
    assert "{% macro given_to_x_query() %}" in macros
    (linted.folder / "macros/x_query.sql").write_text("{# First. #}\n" + MACRO)
    assert linted() == (1, [*CHECKS, ("sqlfluff", files)])


@pytest.mark.parametrize(
    ("model", "macro"),
    [
        ("select 1 from ({{ x_query([], 'k') }})", MACRO),
        ("{{ another_query() }}", MACRO),
        (MODEL, "{# First. #}\n" + MACRO),
        (MODEL, MACRO + "{% macro further() %}\n{% endmacro %}\n"),
    ],
)
def test_a_model_that_does_more_than_call_its_query_is_told(model, macro):
    with pytest.raises(ValueError, match=r"a macro that is a whole query|one call of x_query"):
        lint.as_model(model, macro)


def test_a_record_that_was_cut_off_is_made_anew(linted):
    linted()
    lint.PASSED.write_text("{")
    assert linted()[1][-1] == ("sqlfluff", ["models/a.sql", "models/b.sql"])
    assert linted() == (0, CHECKS)


def test_a_model_that_is_gone_may_change_the_others(linted):
    linted()
    (linted.folder / "models/b.sql").unlink()
    assert linted() == (0, [*CHECKS, ("sqlfluff", ["models/a.sql"])])


def test_a_folder_without_git_is_told(linted, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(linted.folder / "none"))
    code, calls = linted()
    assert "Lint needs a git checkout" in code
    assert calls == []

"""The pages are true: every command runs in a test, every link leads somewhere, every setting is in the table.

A command of a page is run here, by another test (`RUN_BY`), or it is in a block that begins with the line
`# needs an AWS account`. All of them, those within a sentence too, are checked against what the programs accept.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import click
import duckdb
import pytest
import yaml
from click.testing import CliRunner
from conftest import PROJECT
from dbt.cli.main import cli as dbt_command

from retail_warehouse.cli import main
from retail_warehouse.settings import ProjectSettings, RunSettings, Settings, TokenSettings

DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [*(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "DECISIONS.md", "CHANGELOG.md")), *DOCS]
# Of runs and deployments; the page that is about them names them.
RECORDS = ("redshift_runs.md", "aws_runs.md")
# Their SQL is an administrator's, on Redshift.
OF_REDSHIFT = ("redshift.md", "aws_operations.md")
OVERVIEW = PROJECT / "models/overview.md"
SETTINGS = PROJECT / "docs/settings.md"
CLOUD = "# needs an AWS account"
TEXTS = {page: page.read_text() for page in PAGES}

# Where a command is run: a test or a fixture, or what CI runs. A pattern is one of the whole command without its
# variables. The words of the command, except values, are in that file.
RUN_BY = {
    "make (build|test)": ".ci/run",
    "make check": ".github/workflows/ci.yml",
    # Of what their recipes run, each command is one of these.
    "make .*": "test_pages.py::test_recipes_are_made_of_commands_that_run",
    "dbt build": "conftest.py::built",
    "dbt build --full-refresh": "test_incremental.py::test_data_tests_look_at_what_has_not_been_tested",
    "dbt build --vars .*complete_histories.*": "conftest.py::built",
    "dbt build --vars .*max_rejected_share.*": (
        "test_bad_input.py::test_too_many_rejected_rows_fail_the_build_and_keep_the_marts"
    ),
    "dbt build --vars .*online_retail_day_first.*": (
        "test_online_retail.py::test_a_day_first_file_is_told_and_never_guessed"
    ),
    "dbt build --(sample|empty).*": "test_dbt_commands.py::test_a_sample_and_an_empty_build_stand_for_no_file",
    "dbt build --selector (instacart|online_retail)": (
        "test_dbt_commands.py::test_one_source_is_built_alone_in_a_new_warehouse"
    ),
    "dbt run-operation export_parquet.*": (
        "test_parquet_export.py::test_facts_are_written_by_month_and_replaced_as_a_whole"
    ),
    "dbt build --selector micro_batch": "test_streaming.py::test_late_wrong_and_repeated_rows",
    "dbt build --selector (features|predictions)( .*)?": "test_features.py::test_the_plain_build_has_no_features",
    "dbt build --select [+]tag:features .*": "conftest.py::build_features",
    "dbt build --(selector (new_orders|reports)|select rpt_basket_sizes)": (
        "test_pages.py::test_a_schedule_and_a_first_change"
    ),
    "dbt source freshness": "test_dbt_commands.py::test_freshness_tells_when_files_were_last_taken_in",
    "dbt docs generate.*": "conftest.py::built",
    "dbt parse": "test_dbt_commands.py::test_nothing_modified_is_no_error",
    "dbt (debug|docs serve|show).*": "test_pages.py::test_dbt_commands_that_only_look",
    "mf query .*": "test_metrics.py::test_mf_validates_and_answers_what_the_page_asks",
    "retail-warehouse fetch online-retail .*": "test_fetch.py::test_a_workbook_becomes_a_csv_file",
    "retail-warehouse fetch instacart.*": "test_fetch.py::test_a_complete_instacart_folder_passes",
    "retail-warehouse check .*": "test_check.py::test_a_folder_is_checked_without_a_warehouse",
    "retail-warehouse generate instacart .*": "test_generator.py::test_command",
    "retail-warehouse generate online-retail .*": (
        "test_online_retail_sample.py::test_the_bundled_sample_is_the_generators_output"
    ),
    "retail-warehouse predict --only-new-orders.*": (
        "test_predictions.py::test_scoring_users_with_new_orders_equals_scoring_all"
    ),
    "retail-warehouse (train|predict)( .*)?": "predicted_shop.py::make",
    "retail-warehouse suggest( .*)?": "test_suggesting.py::suggested",
    "retail-warehouse publish predictions": "served_shop.py::publish",
    "retail-warehouse shop.*": "test_watching_the_api.py::test_the_shop_is_one_command_and_starts_within_five_seconds",
    "retail-warehouse evaluate.*": "test_evaluation.py::judged",
    "retail-warehouse dashboard.*": "test_dashboard.py::dashboard",
    "retail-warehouse (live|process)( .*)?": "test_live.py::test_the_whole_loop_runs_by_one_command",
    "retail-warehouse token .*": "test_bound_tokens.py::test_the_command_prints_a_token_that_is_bound",
    "retail-warehouse serve( .*)?": "test_api_processes.py::test_acknowledged_rows_survive_kill_9",
    "retail-warehouse stream .*": "test_player.py::test_a_file_is_played_into_a_folder_and_gone_on_with",
    "python benchmarks/predictions.py --write": (
        "test_predictions_benchmark.py::test_judging_one_data_set_leaves_the_others_on_the_page"
    ),
    "python -c .*": "test_pages.py::test_the_python_of_the_pages_runs",
    "retail-warehouse build( .*)?": "test_building.py::test_a_build_tells_what_there_is",
    "curl .*": "test_api_lookups.py::test_a_row_can_be_looked_up_as_soon_as_it_is_accepted",
}
# What needs no test: a shell's own commands, and what installs by the lock that the Makefile uses.
OF_THE_SHELL = ("cp", "mkdir", "export", "source", "cd", "git", "pip", "python3")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands_of(line: str) -> list[tuple[list[str], list[str]]]:
    """Words and variables of the commands in a line of the shell."""
    found = []
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word not in ("&&", "|", ";"):
            words.append(word)
            continue
        variables = []
        while words and re.match(r"[A-Z_]+=", words[0]):
            variables.append(words.pop(0).partition("=")[0])
        if words:
            found.append((words, variables))
        words = []
    return found


def in_blocks(text: str) -> list[str]:
    """Lines of the console that need no account."""
    return [
        line
        for block in blocks(text, "console")
        if not block.startswith(CLOUD)
        for line in block.replace("\\\n", " ").splitlines()
    ]


def in_prose(text: str) -> list[str]:
    """Code within a line that begins like a command; it may leave out what the sentence is not about."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    within = re.findall(r"`([^`]+)`", prose)
    return [" ".join(code.split()) for code in within if re.match(r"(make|dbt|retail-warehouse|mf) [a-z-]", code)]


def in_cloud(text: str) -> list[str]:
    found = [block for block in blocks(text, "console") if block.startswith(CLOUD)]
    return [line for block in found for line in block.replace("\\\n", " ").splitlines()]


# Page, words, and whether nothing is left out.
ALL = [
    (page.name, words, lines is not in_prose)
    for page, text in TEXTS.items()
    for lines in (in_blocks, in_cloud, in_prose)
    for line in lines(text)
    for words, _ in commands_of(line)
]


def place(command: str) -> str:
    return next((where for pattern, where in RUN_BY.items() if re.fullmatch(pattern, command, re.DOTALL)), "")


def test_every_command_is_run_by_a_test():
    for page, text in TEXTS.items():
        for line in in_blocks(text):
            for words, _ in commands_of(line):
                command = " ".join(words)
                where = place(command)
                assert where or words[0] in OF_THE_SHELL, (
                    f"{page.name}: {command}\nRun it in a test, and say in RUN_BY in which."
                )
                path, _, function = where.partition("::")
                if not function:
                    continue
                [file] = (PROJECT / "tests/python").rglob(path)
                source = file.read_text()
                assert re.search(rf"^def {function}\(", source, re.MULTILINE), where
                # A test that reads them from the page holds no copy of them.
                if words[0] in ("dbt", "retail-warehouse") and path != "test_pages.py":
                    wanted = [word for word in words[1:] if re.fullmatch(r"(--)?[a-z_-]+", word)]
                    missing = [word for word in wanted if word not in source]
                    assert not missing, f"{path} does not run {command}: it never says {missing}"


def test_places_are_of_commands():
    commands = [" ".join(words) for _, words, _ in ALL] + [command for of_one in RECIPES.values() for command in of_one]
    for pattern, where in RUN_BY.items():
        assert any(re.fullmatch(pattern, command, re.DOTALL) for command in commands), f"no page names {pattern}"
        if "::" not in where:
            words = "make test" if "test" in pattern else re.sub(r"[(|].*", "", pattern)
            assert words in (PROJECT / where).read_text(), where


def recipe(target: str) -> list[str]:
    """What make would run for a target, were everything installed."""
    made = [name for mark in ("core", "dev", "predictions", "dashboard", "sql") for name in ("-o", f".venv/.{mark}")]
    done = subprocess.run(
        ["make", "--dry-run", *made, "-o", "profiles.yml", target],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    recipe_ = re.sub(r"^\s*echo .*", "", done.stdout.replace("\\\n", " "), flags=re.MULTILINE)
    return [command.strip() for command in re.findall(r"[.]venv/bin/((?:dbt|retail-warehouse) [^&|;>\n]*)", recipe_)]


TARGETS = set(re.findall(r"^([\w-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE))
NAMED = sorted({words[1] for _, words, _ in ALL if words[0] == "make" and len(words) > 1} & TARGETS)
RECIPES = {target: recipe(target) for target in NAMED}


def test_make_targets_exist():
    named = {words[1] for _, words, _ in ALL if words[0] == "make" and len(words) > 1}
    assert {"build", "test", "docs", "check"} <= named
    assert named <= TARGETS


def test_recipes_are_made_of_commands_that_run():
    assert RECIPES["docs"] == ["dbt docs generate", "dbt docs serve --port 8080"]
    for target, commands in RECIPES.items():
        for command in commands:
            words = shlex.split(command)
            if words[0] == "retail-warehouse":
                parse(main, words[1:])
            assert place(command), f"make {target} runs {command}\nRun it in a test, and say in RUN_BY in which."


def parse(command: click.Command, arguments: list[str], is_whole: bool = True) -> None:
    """Hold arguments against a command of click without running it.

    Raises:
        click.ClickException: It would not take them; not if only something is missing where not all is said.
    """
    context = click.Context(command, info_name=command.name)
    while isinstance(command, click.Group):
        if arguments in ([], ["--help"], ["--version"]):
            return
        name, command, arguments = command.resolve_command(context, list(arguments))
        context = click.Context(command, info_name=name, parent=context)
    # Folders of the examples are the reader's own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Path, "convert", lambda self, value, parameter, context: value)
        with contextlib.suppress(*() if is_whole else (click.MissingParameter,)):
            command.parse_args(context, list(arguments))


def test_the_program_accepts_every_command():
    found = [(words[1:], is_whole) for _, words, is_whole in ALL if words[0] == "retail-warehouse"]
    assert len(found) > 30
    for arguments, is_whole in found:
        parse(main, arguments, is_whole)
    for wrong in (["generate", "instacart", "--user", "10", "--out", "x"], ["fetch", "instakart"], ["predikt"]):
        with pytest.raises(click.UsageError):
            parse(main, wrong, is_whole=False)


def test_dbt_accepts_every_command(dbt):
    """Options by dbt's own parser, selectors and vars by the project, and what is selected by one `dbt ls`."""
    selected = {"reports"}
    selectors = {selector["name"] for selector in yaml.safe_load((PROJECT / "selectors.yml").read_text())["selectors"]}
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    macros = {path.stem for path in (PROJECT / "macros").rglob("*.sql")}
    found = [(page, words, is_whole) for page, words, is_whole in ALL if words[0] == "dbt"]
    recipes = [shlex.split(command) for of_one in RECIPES.values() for command in of_one]
    found += [("Makefile", words, True) for words in recipes if words[0] == "dbt"]
    assert len(found) > 40
    for page, words, is_whole in found:
        told = f"{page}: {' '.join(words)}"
        try:
            parse(dbt_command, words[1:], is_whole)
        except click.ClickException as error:
            pytest.fail(f"{told}: {error.format_message()}")
        options = dict(zip(words, [*words[1:], ""], strict=True))
        assert options.get("--selector", "reports") in selectors, told
        assert set(yaml.safe_load(options.get("--vars", "{}"))) <= set(declared), told
        assert words[1] != "run-operation" or len(words) == 2 or words[2] in macros, told
        selected |= {options[option] for option in ("--select", "--exclude") if option in options}
    with pytest.raises(click.UsageError):
        parse(dbt_command, ["build", "--selectors", "reports"])
    # Words that stand for any name.
    listed = dbt("ls", "--quiet", "--select", *sorted(selected - {"something", "state:modified+", "reports"}))
    assert listed.ok, listed.output
    assert "does not match" not in listed.output


def test_dbt_commands_that_only_look(dbt, built, tmp_path):
    shutil.copy(built.warehouse, dbt.warehouse)
    shown = {tuple(words[1:]) for _, words, is_whole in ALL if is_whole and words[:2] == ["dbt", "show"]}
    assert len(shown) >= 2
    for arguments in sorted(shown):
        outcome = dbt(*arguments, PARQUET_EXPORT=str(built.artifacts / "exports"))
        assert outcome.ok, outcome.output
        assert outcome.output.count("|\n") > 2, outcome.output
    debug = dbt("debug")
    assert debug.ok, debug.output
    # `make docs`: what `dbt docs generate` has written for `built` is served.
    target = tmp_path / "target"
    shutil.copytree(built.artifacts, target, ignore=shutil.ignore_patterns("*.duckdb"))
    shutil.copy(built.artifacts / "static_index.html", target / "index.html")
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = dbt.start("docs", "serve", "--no-browser", "--port", str(port), DBT_TARGET_PATH=str(target))
    try:
        page = ""
        while not page and served.is_alive():
            with contextlib.suppress(OSError):
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read(200).decode()
            time.sleep(0.05)
        assert "html" in page.lower()
    finally:
        served.kill()


@pytest.mark.slow
def test_a_schedule_and_a_first_change(built_dbt, small):
    for selected in (("--selector", "new_orders"), ("--selector", "reports"), ("--select", "rpt_basket_sizes")):
        # Their tests run with everything else.
        outcome = built_dbt("build", *selected, "--exclude-resource-types", "test", "unit_test", data=small.data)
        assert outcome.ok, outcome.output


def test_uv_runs_a_command_of_the_environment():
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    # Of the environment as it is, since what CI installs it installs from the lock.
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1", "UV_OFFLINE": "1"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [uv, "run", "retail-warehouse", "--version"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("retail-warehouse, version ")


def test_the_sql_of_the_pages_runs(built):
    count = 0
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for page, text in TEXTS.items():
            for sql in [] if page.name in OF_REDSHIFT else blocks(text, "sql"):
                assert connection.execute(sql).description, f"{page.name}: {sql}"
                count += 1
    assert count >= 4


def test_the_python_of_the_pages_runs(built, tmp_path, monkeypatch):
    shutil.copy(built.warehouse, tmp_path / "warehouse.duckdb")
    monkeypatch.chdir(tmp_path)
    codes = [code for text in TEXTS.values() for code in blocks(text, "python")]
    assert codes
    codes += [words[2] for _, words, _ in ALL if words[:2] == ["python", "-c"] and "boto3" not in words[2]]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        for code in codes:
            exec(compile(code, "page", "exec"), {})
    assert told.getvalue().startswith("December 2010: ")
    assert (tmp_path / "monthly_sales.csv").read_text().startswith("sales_month,country,gross_amount")


def test_what_an_option_names_is_what_a_command_says():
    """Commands that only print, as a reader would run them."""
    done = CliRunner().invoke(main, ["fetch", "instacart"])
    assert done.exit_code == 0
    assert "kaggle.com" in done.output


def anchors(text: str) -> set[str]:
    """As GitHub names headings."""
    headings = re.findall(r"^#+ (.*)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    others = [PROJECT / "tests/redshift_stand_in/README.md", *sorted((PROJECT / "benchmarks").glob("*.md"))]
    for page in [*PAGES, *others]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(path.read_text()), f"{page.name}: {target}"


def test_every_page_can_be_found():
    """From the README, and from the overview of dbt's documentation, beside which dbt puts the folder `docs`."""
    overview = OVERVIEW.read_text()
    for page in DOCS:
        if page.name not in RECORDS:
            assert f"(docs/{page.name})" in TEXTS[PROJECT / "README.md"], page.name
            assert f"(docs/{page.name})" in overview, page.name
    assert set(re.findall(r"\(docs/([^)#]*)\)", overview)) <= {page.name for page in DOCS}
    assert "docs" in yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["asset-paths"]


def test_a_page_begins_with_its_question():
    for page in DOCS:
        first = TEXTS[page].splitlines()[0]
        assert re.fullmatch(r"# [A-Z].*\?", first), f"{page.name}: {first}"
        assert re.fullmatch(r"[a-z_]+\.md", page.name)
        assert page.name in RECORDS or blocks(TEXTS[page], "(?:console|sql)"), f"{page.name} has no example"


def test_the_readme_is_one_page():
    lines = TEXTS[PROJECT / "README.md"].splitlines()
    assert len(lines) <= 110
    assert len(TEXTS[PROJECT / "CONTRIBUTING.md"].splitlines()) <= 95
    for name in ("README.md", "CONTRIBUTING.md"):
        assert max(map(len, TEXTS[PROJECT / name].splitlines())) <= 120, name


def test_lines_are_short():
    """But for tables and code, which cannot be broken."""
    for page, text in TEXTS.items():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for line in prose.splitlines():
            assert len(line) <= 120 or line.startswith("|"), f"{page.name}: {line}"


def test_nothing_is_said_twice():
    paragraphs = Counter(
        " ".join(paragraph.split())
        for text in TEXTS.values()
        for paragraph in re.split(r"\n\s*\n", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
        if len(paragraph) > 80
    )
    assert [paragraph for paragraph, count in paragraphs.items() if count > 1] == []


SETTINGS_OF_PYTHON = (ProjectSettings, RunSettings, TokenSettings, Settings)


def variables_of_the_code() -> set[str]:
    """Environment variables that the project asks for, wherever it does."""
    paths = [
        *(PROJECT / "retail_warehouse").rglob("*.py"),
        *(PROJECT / "macros").rglob("*.sql"),
        *(PROJECT / "models").rglob("*.yml"),
        *(PROJECT / "models").rglob("*.sql"),
        *(PROJECT / "tests").rglob("*.py"),
        PROJECT / "profiles.yml.example",
        PROJECT / "dbt_project.yml",
    ]
    asked = (
        r"""(?:env_var\(|os[.]environ(?:\.get)?[(\[]|getenv\(|_variable\(|envvar=)\s*['"]([A-Z][A-Z0-9_]+)['"]""",
        r"\w+_variable: ([A-Z][A-Z0-9_]+)",
    )
    found = {
        name for path in paths for pattern in asked for name in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    found |= {name.upper() for fields in SETTINGS_OF_PYTHON for name in fields.model_fields}
    # Those of the system, and of pytest.
    return found - {"PATH", "PYTEST_XDIST_WORKER"}


def rows_of_settings() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `(\w+)` \| (environment|var) \| (.+) \| (.+) \|$", TEXTS[SETTINGS], re.MULTILINE)
    assert len({name for name, *_ in rows}) == len(rows)
    return {name: rest for name, *rest in rows}


def settings_macro() -> dict:
    text = (PROJECT / "macros/project/settings.sql").read_text()
    return yaml.safe_load(text[text.index("({") + 1 : text.rindex("})") + 1])


def test_the_table_of_settings_is_the_code():
    rows = rows_of_settings()
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    assert {name for name, (kind, *_) in rows.items() if kind == "var"} == set(declared)
    assert {name for name, (kind, *_) in rows.items() if kind == "environment"} == variables_of_the_code()
    for name, value in declared.items():
        assert (
            rows[name][2] == f"`{json.dumps(value) if not isinstance(value, float) else f'{value:f}'.rstrip('0')}`"
        ), name
        rule = settings_macro()["vars"][name]
        for bound in {rule.get("min"), rule.get("max")} - {None}:
            assert f"{bound:,}" in rows[name][1], f"{name}: its range stands in the table"
    profile = (PROJECT / "profiles.yml.example").read_text()
    for name, default in re.findall(r"env_var\('(\w+)', '([^']+)'\)", profile):
        if default not in ("80%", ""):
            assert f"`{default}`" in rows[name][2], name
    # A variable that a page names is one of the table, or another program's.
    for page, text in TEXTS.items():
        for name in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", text):
            assert name in rows or name.startswith("AWS_") or page.name == "CONTRIBUTING.md", f"{page.name}: {name}"


# Of DuckDB, dbt, Redshift and the system.
MESSAGES_OF_OTHERS = (
    *("Could not set lock on file", "Conflicting lock is held in", "No space left on device", "Out of Memory"),
    *("Env var required but not provided: 'REDSHIFT_", "Serializable isolation violation", "does not exist"),
)


def test_messages_in_the_table_are_messages_of_the_code():
    paths = [
        *(PROJECT / "macros").rglob("*.sql"),
        *(PROJECT / "retail_warehouse").rglob("*.py"),
        *(PROJECT / "tests/generic").glob("*.sql"),
        *(PROJECT / "tests/singular").rglob("*.sql"),
        *(PROJECT / "tools").glob("*.py"),
        PROJECT / "Makefile",
    ]
    code = " ".join(f"{path.stem} {path.read_text(encoding='utf-8')}" for path in paths)
    # Adjacent literals are one text.
    code += re.sub(r"""['"]\s*(~\s*)?f?['"]""", "", code)
    rows = re.findall(r"^\| `([^`]+)`", TEXTS[PROJECT / "docs/troubleshooting.md"], re.MULTILINE)
    assert len(rows) >= 20
    for message in rows:
        # What is wrong with a file or a column is put together.
        parts = re.split(r"[.]{3}|8080|[(]PID 123[)]|(?=the header)", message)
        parts = [part.strip().removeprefix("is ") for part in parts]
        unknown = [part for part in parts if part and part not in code and part not in MESSAGES_OF_OTHERS]
        assert not unknown, message


def test_changes_are_of_this_version():
    version = re.search(r'^version = "(.*)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    text = TEXTS[PROJECT / "CHANGELOG.md"]
    assert text.startswith("# Changelog\n")
    assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)
    assert f'version: "{version}"' in (PROJECT / "dbt_project.yml").read_text()

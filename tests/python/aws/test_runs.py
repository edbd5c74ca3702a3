"""`retail-warehouse run`: copies, the lock, going on after a failure, and what the last line says.

Whole runs on the stand-in of Redshift are in `test_redshift.py`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import PROJECT
from shared.aws import put

from retail_warehouse.cli import main
from retail_warehouse.errors import DataError
from retail_warehouse.official import ONLINE_RETAIL_HEADER
from retail_warehouse.runs import lock, steps
from retail_warehouse.runs.bucket import PREFIXES, Bucket
from retail_warehouse.runs.redshift import Dbt
from retail_warehouse.runs.run import NothingToDo, Run, Step, perform
from retail_warehouse.runs.state import Done, State, project_digests

STREAMED_TABLES = ("data_files", "streamed_lines")


def test_the_prefixes_are_those_of_the_page():
    page = (PROJECT / "docs/runs.md").read_text()
    for prefix in PREFIXES:
        assert f"`{prefix}/" in page, prefix


# Steps


class Steps:
    """Three steps of which the second can fail; what they did is in `done`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failure: BaseException | None = None

    @property
    def nightly(self) -> list[Step]:
        def copy(run):
            self.done.append("copy")
            return "copied"

        def build(run):
            if self.failure:
                raise self.failure
            self.done.append("build")
            return "built"

        def publish(run):
            self.done.append("publish")
            return "published"

        return [Step(copy, of=("raw",)), Step(build, after=("copy",)), Step(publish, after=("build",))]


@pytest.fixture
def small():
    return Steps()


@pytest.fixture
def go(bucket, small, tmp_path, capfd):
    """Does a run and returns its exit code and summary."""

    def run(steps_of=lambda run: small.nightly, code="1", variables="", **options):
        small.done.clear()
        made = Run("nightly", bucket, tmp_path, Dbt(variables), tables_digest="t", code_digest=code)
        exit_code = perform(made, steps_of, **options)
        said = capfd.readouterr()
        summary = json.loads(said.out.splitlines()[-1])
        assert (summary["run"], summary["exit_code"]) == ("nightly", exit_code)
        assert summary["seconds"] >= 0
        assert summary["exit_code"] == exit_code
        assert bucket.read(lock.KEY) is None
        newest = sorted(bucket.files("runs/summaries"))[-1]
        assert json.loads(bucket.read(f"runs/summaries/{newest}")[0]) == summary
        return exit_code, summary, said.err

    return run


def statuses(summary: dict) -> list[str]:
    return [step["status"] for step in summary["steps"].values()]


def test_a_run_does_its_steps_and_the_next_one_nothing(go, small, bucket):
    put(bucket, "raw/a.csv", "1")
    code, summary, _ = go()
    assert (code, summary["status"], small.done) == (0, "succeeded", ["copy", "build", "publish"])
    assert summary["steps"]["copy"]["told"] == "copied"
    code, summary, _ = go()
    assert (code, summary["status"], small.done) == (0, "skipped", [])
    assert statuses(summary) == ["unchanged"] * 3
    assert summary["reason"] == "Nothing has changed since the last run."
    # Each of what decides on a step makes it new, with all after it.
    for change in (
        lambda: put(bucket, "raw/a.csv", "2"),
        lambda: put(bucket, "raw/b.csv", "2"),
        lambda: bucket.remove("raw", ["b.csv"]),
    ):
        change()
        assert go()[1]["status"] == "succeeded"
        assert small.done == ["copy", "build", "publish"]
        assert go()[1]["status"] == "skipped"
    put(bucket, "raw/_SUCCESS", "")
    assert go()[1]["status"] == "skipped", "the marker is no data"
    for options in ({"code": "2"}, {"code": "2", "variables": "{a: 1}"}):
        assert go(**options)[1]["status"] == "succeeded"
        assert go(**options)[1]["status"] == "skipped"
    assert go(code="2", variables="{a: 1}", again=True)[1]["status"] == "succeeded"
    assert small.done == ["copy", "build", "publish"]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (DataError("dbt build has failed"), "dbt build has failed"),
        (OSError(28, "No space left on device"), "No space left"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "The run was interrupted; the next run resumes with this step."),
    ],
)
def test_a_failed_step_is_named_and_gone_on_with(go, small, failure, told):
    small.failure = failure
    code, summary, said = go()
    assert (code, summary["status"], summary["failed_step"]) == (1, "failed", "build")
    assert told in summary["error"]
    assert f"Error: {summary['error']}" in said
    assert ("Traceback" in said) == isinstance(failure, ZeroDivisionError)
    assert statuses(summary) == ["done", "failed"]
    small.failure = None
    code, summary, _ = go()
    assert (code, small.done) == (0, ["build", "publish"])
    assert statuses(summary) == ["unchanged", "done", "done"]


def test_steps_that_are_done_again_after_a_failure_are_not_taken_for_done(go, small):
    go()
    small.failure = DataError("no")
    assert go(again=True)[0] == 1
    small.failure = None
    assert go()[0] == 0
    assert small.done == ["build", "publish"]


def test_a_step_without_anything_to_do_is_told_and_asked_again(go, small):
    small.failure = NothingToDo("SERVING_STORE is not set")
    code, summary, _ = go()
    assert (code, summary["status"]) == (0, "succeeded")
    assert summary["steps"]["build"] == {"status": "skipped", "seconds": 0.0, "told": "SERVING_STORE is not set"}
    small.failure = None
    go()
    assert small.done == ["build", "publish"]


def test_a_run_without_steps_is_skipped(go):
    def nothing(run):
        raise NothingToDo("Nothing is built yet.")

    code, summary, _ = go(nothing)
    assert (code, summary["status"], summary["reason"]) == (0, "skipped", "Nothing is built yet.")


def test_a_second_run_ends_with_3_and_says_who_holds_the_lock(bucket, small, tmp_path, capfd):
    with lock.held(bucket, "train"):
        run = Run("nightly", bucket, tmp_path, Dbt(), tables_digest="t", code_digest="1")
        assert perform(run, lambda run: small.nightly) == 3
    summary = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (summary["status"], summary["exit_code"]) == ("locked", 3), (
        "not skipped, which an alarm takes for a run that was done"
    )
    assert summary["reason"].startswith("Another run holds the lock: train on ")
    assert small.done == []


def test_a_state_that_cannot_be_read_is_told(go, bucket):
    for text in ("{", "[]", '{"format": 99, "steps": {}, "built_with": ""}', '{"format": 1}'):
        put(bucket, "runs/state.json", text)
        code, summary, _ = go()
        assert code == 1
        assert "runs/state.json cannot be read" in summary["error"]
        assert "Remove it" in summary["error"]


KILLED = """
import sys
from pathlib import Path
from retail_warehouse.runs.bucket import Bucket
from retail_warehouse.runs.redshift import Dbt
from retail_warehouse.runs.run import Run, Step, perform

def copy(run):
    return "copied"

def build(run):
    print("building", flush=True)
    while True:
        pass

run = Run("nightly", Bucket(sys.argv[1]), Path(sys.argv[2]), Dbt(), tables_digest="t", code_digest="1")
raise SystemExit(perform(run, lambda run: [Step(copy, of=("raw",)), Step(build, after=("copy",))]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_killed_is_gone_on_with(bucket, emulator, small, go, tmp_path, number):
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, bucket.name, str(tmp_path)],
        env={**os.environ, **emulator, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert any(line == "building\n" for line in killed.stdout)
    killed.send_signal(number)
    last = killed.stdout.read().splitlines()[-1:]
    killed.wait()
    if number == signal.SIGTERM:  # as ECS stops a task
        assert killed.returncode == 1
        assert json.loads(last[0])["failed_step"] == "build"
    else:
        held = bucket.read(lock.KEY)
        assert held, "a dead run leaves its lock, which expires"
        bucket.delete(lock.KEY, held[1])
    code, summary, _ = go()
    assert (code, small.done) == (0, ["build", "publish"])
    assert statuses(summary)[0] == "unchanged"


# The runs that there are


class FakeDbt(Dbt):
    """Notes what it is asked to do, and exports as Redshift does."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self.bucket = bucket
        self.asked: list[tuple[str, ...]] = []
        self.last: str | None = "2026-11-26T02:00:00"

    def build(self, *arguments: str) -> str:
        self.asked.append(arguments)
        return "built"

    def operation(self, macro: str, **arguments) -> str:
        put(self.bucket, "exports/prod/fct_sales/invoice_month=2011-01-01/0000_part_00.parquet", "new")
        return macro

    def last_processed(self) -> str | None:
        return self.last


@pytest.fixture
def run(bucket, tmp_path):
    return Run("nightly", bucket, tmp_path, FakeDbt(bucket), tables_digest="tables", code_digest="code")


def names(steps_of_run) -> list[str]:
    return [step.name for step in steps_of_run]


def test_what_is_done_depends_on_what_is_there(run, bucket):
    with pytest.raises(DataError, match="There are no raw files"):
        steps.nightly(run)
    put(bucket, "raw/online_retail/data.csv", "x")
    run._files.clear()
    assert names(steps.nightly(run)) == [
        *("land_online_retail", "load_online_retail", "build", "publish_lines", "export", "docs", "dashboard"),
    ]
    put(bucket, "raw/instacart/orders.csv", "x")
    put(bucket, "models/abc/card.json", "x")
    put(bucket, "streamed/day=2026-11-26/a.ndjson", "{}")
    run._files.clear()
    everything = names(steps.nightly(run))
    assert everything == [
        *("land_instacart", "load_instacart", "land_online_retail", "load_online_retail", "build", "publish_lines"),
        *("export", "features", "predict", "load_predictions", "build_predictions", "publish_predictions"),
        *("merge_streamed", "docs", "dashboard"),
    ]
    page = (PROJECT / "docs/runs.md").read_text()
    for name in {*everything, "train", "land_streamed", "load_streamed", "build_streamed"}:
        assert f"`{name}`" in page, f"docs/runs.md says what {name} does"


def test_files_that_are_gone_are_no_reason_to_go_on_without_them(run, bucket):
    put(bucket, "raw/online_retail/data.csv", "x")
    put(bucket, "raw/instacart/orders.csv", "x")
    steps.load_instacart(run)
    steps.load_online_retail(run)
    run.state.write(bucket)
    assert State.read(bucket).with_files == {"instacart", "online_retail"}
    for source, file in (("instacart", "orders.csv"), ("online_retail", "data.csv")):
        bucket.remove(f"raw/{source}", [file])
        put(bucket, "streamed/day=2026-11-26/a.ndjson", "{}")
        run._files.clear()
        with pytest.raises(DataError, match=rf"There are no files in s3://.*/raw/{source} any more"):
            steps.nightly(run)
        put(bucket, f"raw/{source}/{file}", "x")
    bucket.remove("raw/online_retail", ["data.csv"])
    run._files.clear()
    with pytest.raises(DataError, match=r"raw/online_retail any more.*remove s3://.*/runs/state.json"):
        steps.land_streamed(run)


def test_streamed_rows_need_no_files(run, bucket, monkeypatch):
    """Instacart alone, and then a row of a till."""
    landed = []

    def land(source, to, tables):
        [file] = Path(os.environ["ONLINE_RETAIL_DATA"]).iterdir()
        [streamed] = Path(os.environ["ONLINE_RETAIL_LANDING"]).rglob("a.ndjson")
        landed.append((source, tables, file.name, file.read_text(), file.stat().st_mtime, streamed.read_text()))

    monkeypatch.setattr(steps.parquet, "land", land)
    put(bucket, "raw/instacart/orders.csv", "x")
    put(bucket, "streamed/day=2026-11-26/refused.ndjson", "")
    assert steps.sources_of(run) == ["instacart"], "a refused commit has no rows"
    put(bucket, "streamed/day=2026-11-26/a.ndjson", "{}")
    run._files.clear()
    assert steps.sources_of(run) == ["instacart", "online_retail"]
    steps.land_online_retail(run)
    shutil.rmtree(run.folder)  # another task has another disk
    steps.land_streamed(run)
    header = f"{ONLINE_RETAIL_HEADER}\n"
    everything, some = [("online_retail", tables, "no_rows.csv", header, 0, "{}") for tables in ((), STREAMED_TABLES)]
    assert landed == [everything, some]
    steps.load_online_retail(run)
    assert run.state.with_files == set(), "so that the next run does not ask for files"
    put(bucket, "raw/online_retail/data.csv", "x")
    run._files.clear()
    steps.land_online_retail(run)
    assert landed[-1][2:4] == ("data.csv", "x")


def test_runs_that_have_to_wait_for_the_first_build_are_skipped(run):
    for steps_of, told in ((steps.micro_batch, "Nothing is built yet"), (steps.train_and_predict, "is not built yet")):
        with pytest.raises(NothingToDo, match=told):
            steps_of(run)
    run.state.built_with = "older tables"
    with pytest.raises(NothingToDo, match="The project has changed since the last build"):
        steps.micro_batch(run)
    run.state.built_with = "tables"
    with pytest.raises(NothingToDo, match="Online Retail is not loaded yet"):
        steps.micro_batch(run)
    run.state.steps["load_online_retail"] = None
    assert names(steps.micro_batch(run)) == ["land_streamed", "load_streamed", "build_streamed", "publish_lines"]


def test_tables_are_built_in_full_after_a_change_of_the_project(run, bucket):
    put(bucket, "raw/online_retail/data.csv", "x")
    steps.build(run)
    assert run.state.built_with == "tables"
    steps.build(run)
    run.tables_digest = "other tables"
    steps.build(run)
    run.state.forget(in_full=True)
    steps.build(run)
    one = ("--selector", "online_retail")
    assert run.dbt.asked == [one, one, (*one, "--full-refresh"), (*one, "--full-refresh")]
    put(bucket, "raw/instacart/orders.csv", "x")
    run._files.clear()
    steps.build(run)
    assert run.dbt.asked[-1] == ()


@pytest.mark.parametrize(
    ("last", "built_with"),
    [
        ("2026-11-26T02:00:00", "tables"),  # as the build left it
        ("2026-11-26T02:00:00.5", "tables"),  # a micro-batch later
        ("2026-11-25T02:00:00", "to be built in full"),  # restored
        ("", "to be built in full"),
        (None, ""),  # made anew
    ],
)
def test_a_state_of_another_warehouse_is_forgotten(run, bucket, last, built_with):
    put(bucket, "raw/online_retail/data.csv", "x")
    steps.build(run)
    run.state.steps["load_online_retail"] = Done("input", {}, "at")
    run.state.write(bucket)
    run.dbt.last = last
    steps.nightly(run)
    is_kept = built_with == "tables"
    assert State.read(bucket) == run.state
    assert (run.state.built_with, "load_online_retail" in run.state.steps) == (built_with, is_kept)
    steps.build(run)
    assert ("--full-refresh" in run.dbt.asked[-1]) == (built_with == "to be built in full")


def test_months_that_are_gone_are_removed_from_the_export(run, bucket):
    put(bucket, "raw/online_retail/data.csv", "x")
    month = "exports/prod/fct_sales/invoice_month="
    put(bucket, f"{month}2011-01-01/0000_part_00.parquet", "old")
    put(bucket, f"{month}2010-12-01/0000_part_00.parquet", "gone")
    put(bucket, "exports/prod/customers/0000_part_00.parquet", "exported by hand")
    assert steps.export(run) == f"2 files in {bucket.url('exports/prod')}, 1 of old months removed"
    assert list(bucket.files("exports/prod")) == [
        "customers/0000_part_00.parquet",
        "fct_sales/invoice_month=2011-01-01/0000_part_00.parquet",
    ]


def test_the_digest_of_the_project_is_of_what_decides(monkeypatch, tmp_path):
    for name, text in {"dbt_project.yml": "a", "models/m.sql": "a", "selectors.yml": "a"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    before = project_digests()
    assert project_digests() == before
    (tmp_path / "selectors.yml").write_text("b")
    tables, code = project_digests()
    assert tables == before[0]
    assert code != before[1]
    (tmp_path / "models/m.sql").write_text("b")
    assert project_digests()[0] != before[0]


# Publishing


def test_without_a_store_nothing_is_published(run, monkeypatch):
    monkeypatch.delenv("SERVING_STORE", raising=False)
    for step in (steps.publish_lines, steps.publish_predictions):
        with pytest.raises(NothingToDo, match="SERVING_STORE is not set"):
            step(run)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("predictions", "--target", "prod"), "--target is for transactions"),
        (("transactions", "--features", "features"), "--features is for predictions"),
        (("--models", "models"), "--models is for predictions"),
    ],
)
def test_options_of_the_other_kind_are_refused(arguments, told):
    done = CliRunner().invoke(main, ["publish", *arguments])
    assert done.exit_code == 2
    assert told in done.output


# Settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Set RETAIL_WAREHOUSE_BUCKET"),
        ({"RETAIL_WAREHOUSE_BUCKET": "s3://bucket"}, "must be the name of a bucket alone"),
        ({"RETAIL_WAREHOUSE_BUCKET": "bucket"}, "Env var required but not provided: 'REDSHIFT_"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_a_summary(monkeypatch, tmp_path, given, told):
    monkeypatch.chdir(PROJECT)
    for name in [name for name in os.environ if name.startswith(("REDSHIFT_", "RETAIL_WAREHOUSE_B"))]:
        monkeypatch.delenv(name)
    (tmp_path / "profiles.yml").write_text(Path("profiles.yml.example").read_text())
    done = CliRunner().invoke(main, ["run", "nightly"], env={"DBT_PROFILES_DIR": str(tmp_path), **given})
    assert done.exit_code == 2, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["status"], summary["exit_code"], summary["steps"]) == ("failed", 2, {})
    assert told in summary["error"]

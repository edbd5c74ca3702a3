"""What all runs have in common: steps in sequence, each skipped if its input has not changed."""

import contextlib
import json
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from retail_warehouse.errors import DataError
from retail_warehouse.runs import bundle, lock
from retail_warehouse.runs.bucket import RUNS, STREAMED, Bucket, Found
from retail_warehouse.runs.redshift import Dbt
from retail_warehouse.runs.state import Done, State, digest_of

SUCCEEDED, FAILED, SKIPPED, LOCKED = "succeeded", "failed", "skipped", "locked"
DONE, UNCHANGED = "done", "unchanged"
OK, FAILURE, USAGE, IS_LOCKED = 0, 1, 2, 3


class NothingToDo(Exception):
    """A run or a step has nothing to do; the text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run.

    Args:
        do: Does the work and returns one line about it. The step has the name of this function.
        of: Prefixes of the bucket that it reads.
        after: Steps whose results it reads; ``build.load_instacart``: as of the last build.
        with_it: Steps of other runs that are done as well when this one is.
    """

    do: Callable[["Run"], str]
    of: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    with_it: tuple["Step", ...] = ()

    @property
    def name(self) -> str:
        """Its name, such as ``load_instacart``."""
        return self.do.__name__


@dataclass
class Run:
    """A run, as its steps see it.

    Attributes:
        name: ``nightly``, ``micro-batch`` or ``train``.
        bucket: The data bucket.
        folder: Where files are copied to on the disk of the task.
        dbt: Runs dbt on Redshift.
        state: Which steps are done.
        tables_digest: Digest of the code that tables are built from.
        code_digest: Digest of all code.
    """

    name: str
    bucket: Bucket
    folder: Path
    dbt: Dbt
    state: State = field(default_factory=State)
    tables_digest: str = ""
    code_digest: str = ""
    _files: dict[str, dict[str, Found]] = field(default_factory=dict)

    def tell(self, line: str) -> None:
        """Print a line of progress."""
        click.echo(f"  {line}")

    def files(self, prefix: str) -> dict[str, Found]:
        """The files in a prefix, as listed when a step of this run first asked.

        Raises:
            DataError: It cannot be listed.
        """
        if prefix not in self._files:
            self._files[prefix] = self.bucket.files(prefix)
        return self._files[prefix]

    def written(self, prefix: str) -> None:
        """List a prefix again, since a step of this run has written to it."""
        self._files.pop(prefix, None)

    def copy(self, prefix: str) -> Path:
        """Copy the files in a prefix that are not on the disk yet, and return the folder.

        Raises:
            DataError: A file cannot be read, or changed while it was copied.
        """
        folder = self.folder / prefix
        if prefix == STREAMED:
            bundle.fetch(self.bucket, prefix, folder)
        copied = self.bucket.download(prefix, folder, self.files(prefix), self.tell)
        if prefix == STREAMED:
            bundle.keep(self.bucket, prefix, folder, self.files(prefix), copied)
        self.tell(f"{copied:,} of {len(self.files(prefix)):,} files copied from {self.bucket.url(prefix)}")
        return folder

    def done_after(self, step: Step) -> dict[str, str]:
        """The inputs of the steps before a step that are done."""
        found = {}
        for name in step.after:
            outer, _, inner = name.partition(".")
            done = self.state.steps.get(outer)
            if done:
                found[name] = done.after.get(inner, "") if inner else done.input
        return found

    def input_of(self, step: Step) -> str:
        """Digest of everything that the result of a step depends on."""
        files = {prefix: {name: one.etag for name, one in self.files(prefix).items()} for prefix in step.of}
        return digest_of([self.code_digest, self.dbt.vars, files, self.done_after(step)])


def execute(run: Run, steps: Sequence[Step], held: lock.Lock, told: dict[str, dict[str, Any]]) -> None:
    """Do the steps whose input has changed, in order.

    Args:
        run: The run.
        steps: Its steps.
        held: The lock that it holds.
        told: Filled with the status of each step.

    Raises:
        Exception: A step failed; it is the last entry of `told`.
    """
    for step in steps:
        if held.is_lost:
            raise DataError("Another run has taken over the lock.")
        about = told[step.name] = {"status": FAILED, "seconds": 0.0}
        given, after = run.input_of(step), run.done_after(step)
        done = run.state.steps.get(step.name)
        if done and done.input == given:
            about["status"] = UNCHANGED
            click.echo(f"{step.name}: unchanged, done {done.at}")
            continue
        click.echo(f"{step.name}: started")
        start = time.monotonic()
        try:
            about["told"] = step.do(run)
            about["status"] = DONE
        except NothingToDo as reason:
            about |= {"told": str(reason), "status": SKIPPED}
        finally:
            about["seconds"] = round(time.monotonic() - start, 1)
        if about["status"] == DONE:
            _note(run, step, given, after)
        click.echo(f"{step.name}: {about['status']} after {about['seconds']} s: {about['told']}")


def _note(run: Run, step: Step, given: str, after: dict[str, str]) -> None:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run.state.steps[step.name] = Done(given, after, at)
    for other in step.with_it:
        run.state.steps[other.name] = Done(run.input_of(other), run.done_after(other), at)
    run.state.write(run.bucket)


@contextlib.contextmanager
def _signals_noticed() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM, with which ECS stops a task, interrupt the run: dbt cancels its queries, and the lock is
    released. The event records it, since dbt reports an interrupt as a failure."""
    noticed = threading.Event()

    def interrupt(*_: object) -> None:
        noticed.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield noticed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _error_of(problem: BaseException, held: lock.Lock | None, is_interrupted: bool) -> str:
    """One line about a failure."""
    if held is not None and held.is_lost:
        return "The lock was lost: the bucket could not be reached, or another run has taken it over."
    if is_interrupted or isinstance(problem, KeyboardInterrupt):
        return "The run was interrupted; the next run resumes with this step."
    if isinstance(problem, click.ClickException):
        return problem.format_message()
    if isinstance(problem, DataError | OSError):
        return str(problem)
    traceback.print_exception(problem)  # whatever it is, it must reach the alarm
    return f"{type(problem).__name__}: {problem}"


def perform(run: Run, steps_of: Callable[[Run], Sequence[Step]], again: bool = False, in_full: bool = False) -> int:
    """Do a run, and print its summary as the last line.

    Args:
        run: The run.
        steps_of: Returns its steps; raises NothingToDo if there are none.
        again: Repeat all steps.
        in_full: Also rebuild all tables.

    Returns:
        The exit code.
    """
    start = time.monotonic()
    steps: dict[str, dict[str, Any]] = {}
    summary: dict[str, Any] = {"run": run.name, "status": FAILED, "seconds": 0.0, "steps": steps}
    held: lock.Lock | None = None
    code = OK
    with _signals_noticed() as noticed:
        try:
            with lock.held(run.bucket, run.name) as held:
                run.state = State.read(run.bucket)
                if again or in_full:
                    # Written at once, so that a run which resumes this one repeats them too.
                    run.state.forget(in_full)
                    run.state.write(run.bucket)
                execute(run, steps_of(run), held, steps)
            if any(one["status"] == DONE for one in steps.values()):
                summary["status"] = SUCCEEDED
            else:
                summary |= {"status": SKIPPED, "reason": "Nothing has changed since the last run."}
        except lock.Held as reason:
            summary |= {"status": LOCKED, "reason": str(reason)}
            code = IS_LOCKED
        except NothingToDo as reason:
            summary |= {"status": SKIPPED, "reason": str(reason)}
        except (Exception, KeyboardInterrupt) as problem:
            summary["error"] = _error_of(problem, held, noticed.is_set())
            failed = [name for name, about in steps.items() if about["status"] == FAILED]
            summary |= {"failed_step": failed[0]} if failed else {}
            code = FAILURE
    summary |= {"seconds": round(time.monotonic() - start, 1), "exit_code": code}
    _keep(run, summary)
    tell_end(summary)
    return code


def _keep(run: Run, summary: dict[str, Any]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    with contextlib.suppress(DataError):  # the printed summary is the one that counts
        run.bucket.write(f"{RUNS}/summaries/{now}-{run.name}.json", json.dumps(summary).encode())


def tell_end(summary: dict[str, Any]) -> None:
    """Print the outcome of a run for people, and as one line of JSON for alarms."""
    if "error" in summary:
        click.echo(f"Error: {summary['error']}", err=True)
    elif "reason" in summary:
        click.echo(summary["reason"])
    sys.stderr.flush()
    click.echo(json.dumps(summary))
    sys.stdout.flush()

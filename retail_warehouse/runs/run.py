"""What all runs have in common: steps, one after the other, each of them left out where its input is that of last
time."""

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

SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
DONE, UNCHANGED = "done", "unchanged"
OK, FAILURE, USAGE, LOCKED = 0, 1, 2, 3


class NothingToDo(Exception):
    """A run or a step has nothing to do. The text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run.

    Args:
        do: Does it, and returns what there is to tell about it. Its name is that of the step.
        of: Prefixes of the bucket that it works on.
        after: Steps whose outcome it works on; ``build.load_instacart`` is what the last build has taken in of that.
        with_it: Steps of other runs that are done with it.
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
        bucket: Where everything is kept.
        folder: Where copies lie on the disk of the task.
        dbt: Runs dbt on Redshift.
        state: Which steps are done.
        tables_digest: Of what decides on the tables.
        code_digest: Of all code.
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
        """What is below a prefix, as it was when a step of this run asked first.

        Raises:
            DataError: It cannot be listed.
        """
        if prefix not in self._files:
            self._files[prefix] = self.bucket.files(prefix)
        return self._files[prefix]

    def written(self, prefix: str) -> None:
        """Look anew at a prefix that a step of this run has written."""
        self._files.pop(prefix, None)

    def copy(self, prefix: str) -> Path:
        """Copy what is below a prefix to the disk, as far as it is not there, and return the folder.

        Raises:
            DataError: A file cannot be read, or changes meanwhile.
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
        """The inputs of the steps before a step, as far as they are done."""
        found = {}
        for name in step.after:
            outer, _, inner = name.partition(".")
            done = self.state.steps.get(outer)
            if done:
                found[name] = done.after.get(inner, "") if inner else done.input
        return found

    def input_of(self, step: Step) -> str:
        """The digest of all that decides on the outcome of a step."""
        files = {prefix: {name: one.etag for name, one in self.files(prefix).items()} for prefix in step.of}
        return digest_of([self.code_digest, self.dbt.vars, files, self.done_after(step)])


def execute(run: Run, steps: Sequence[Step], held: lock.Lock, told: dict[str, dict[str, Any]]) -> None:
    """Do the steps that have something to do, in turn.

    Args:
        run: The run.
        steps: Its steps.
        held: The lock that it holds.
        told: Gets what became of each step.

    Raises:
        Exception: A step has failed; the last entry of `told` is its.
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
        click.echo(f"{step.name}: begins")
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
    """Ctrl-C, and SIGTERM with which ECS stops a task, interrupt: dbt cancels what it runs, and the lock is given back.
    The event says so afterwards, since dbt makes a failure of its own of an interrupt."""
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
    """What to tell about a failure, in one line."""
    if held is not None and held.is_lost:
        return "The lock was lost: the bucket could not be reached, or another run has taken over."
    if is_interrupted or isinstance(problem, KeyboardInterrupt):
        return "It was interrupted; the next run goes on with this step."
    if isinstance(problem, click.ClickException):
        return problem.format_message()
    if isinstance(problem, DataError | OSError):
        return str(problem)
    traceback.print_exception(problem)  # whatever it is, the alarm has to learn of it
    return f"{type(problem).__name__}: {problem}"


def perform(run: Run, steps_of: Callable[[Run], Sequence[Step]], again: bool = False, in_full: bool = False) -> int:
    """Do a run, and print what became of it as the last line.

    Args:
        run: The run.
        steps_of: Its steps; raises NothingToDo where there are none.
        again: Do all steps again.
        in_full: And build all tables anew.

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
                    # Kept at once, so that a run that goes on after this one knows it too.
                    run.state.forget(in_full)
                    run.state.write(run.bucket)
                execute(run, steps_of(run), held, steps)
            if any(one["status"] == DONE for one in steps.values()):
                summary["status"] = SUCCEEDED
            else:
                summary |= {"status": SKIPPED, "reason": "Nothing has changed since the last run."}
        except lock.Held as reason:
            summary |= {"status": SKIPPED, "reason": str(reason)}
            code = LOCKED
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
    with contextlib.suppress(DataError):  # what is printed is what counts
        run.bucket.write(f"{RUNS}/summaries/{now}-{run.name}.json", json.dumps(summary).encode())


def tell_end(summary: dict[str, Any]) -> None:
    """Print how a run has ended for people, and as one line of JSON for alarms."""
    if "error" in summary:
        click.echo(f"Error: {summary['error']}", err=True)
    elif "reason" in summary:
        click.echo(summary["reason"])
    sys.stderr.flush()
    click.echo(json.dumps(summary))
    sys.stdout.flush()

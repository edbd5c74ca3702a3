"""python -m redshift_stand_in [--log FILE] [--folder DIR] -- COMMAND ...: runs a command against a stand-in."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import StandIn


def main() -> int:
    """Runs the command with REDSHIFT_* set; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m redshift_stand_in", description=__doc__)
    parser.add_argument("--log", type=Path, help="add every statement to this file, as JSON lines")
    parser.add_argument("--folder", type=Path, help="where the folder that stands for S3 is kept (default: nowhere)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...")
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser.error("name the command to run")
    # The default action would end this process before the stand-in is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="redshift_stand_in_") as folder:
        try:
            with StandIn(arguments.folder or Path(folder), log=arguments.log) as stand_in:
                code = _run(command, stand_in.environment)
                print(f"[redshift_stand_in] {stand_in.counts}", file=sys.stderr)
                return code
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2


def _run(command: list[str], environment: dict[str, str]) -> int:
    child = subprocess.Popen(command, env=os.environ | environment)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())

"""Installs a lock file with pip and shows how far it is: a line that counts, or, where nobody looks, a few lines.

Run with the Python of the virtual environment: `.venv/bin/python tools/install.py requirements.txt`. Needs nothing but
the standard library. All of what pip says is shown where it fails.
"""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

#: What pip says once for each package of the file.
_LOOKED_AT = re.compile(r"(Collecting|Requirement already satisfied:|Ignoring) ")
_PARTS = 4


class Line:
    """The progress shown: on a terminal the last text with the seconds, rewritten; otherwise each text once."""

    def __init__(self) -> None:  # noqa: D107
        self._start = time.monotonic()
        self._has_terminal = sys.stdout.isatty()
        self._text = ""
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        if self._has_terminal:
            self._ticker.start()

    def _tick(self) -> None:
        while not self._ended.wait(0.5):
            self._draw()

    def _draw(self) -> None:
        print(f"\r\033[K{self._text}, {time.monotonic() - self._start:.0f} s", end="", flush=True)

    def show(self, text: str, is_step: bool = True) -> None:
        """Show a text; one that is no step is for a terminal only."""
        self._text = text
        if self._has_terminal:
            self._draw()
        elif is_step:
            print(f"{text}, {time.monotonic() - self._start:.0f} s", flush=True)

    def end(self, text: str) -> None:
        """Leave a last text behind."""
        self._ended.set()
        if self._has_terminal:
            self._ticker.join()
            print("\r\033[K", end="")
        print(f"{text} in {time.monotonic() - self._start:.0f} s", flush=True)


def main() -> int:
    """Install the file that is named, and return pip's exit status."""
    lock = Path(sys.argv[1])
    packages = len(re.findall(r"^[A-Za-z0-9][^\n]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # What is imported is compiled then; all of it takes a quarter of the time.
    command += ["--require-hashes", "--no-deps", "--no-compile", "-r", str(lock)]
    line, said, looked_at = Line(), [], 0
    counted = f"{packages} package{'' if packages == 1 else 's'}"
    line.show(f"Installing {counted} of {lock}")
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PIP_QUIET": "0"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for text in pip.stdout:
            said.append(text)
            if _LOOKED_AT.match(text):
                looked_at += 1
                is_step = looked_at * _PARTS // packages > (looked_at - 1) * _PARTS // packages and looked_at < packages
                line.show(f"  {looked_at} of {counted} fetched", is_step)
            elif text.startswith("Installing collected packages"):
                line.show("  All fetched, being unpacked")
    if pip.returncode:
        line.end(f"pip could not install {lock}; it failed")
        sys.stdout.writelines(said)
    else:
        line.end(f"Installed {counted} of {lock}")
    return pip.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; run it again.")

"""Processes that a command starts in the background, and the address on which the API listens."""

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

import requests

from retail_warehouse.errors import DataError


def listen(host: str, port: int) -> socket.socket:
    """Bind an address, so that the API can listen on it.

    Args:
        host: Address to listen at.
        port: Port to listen at.

    Raises:
        DataError: Another program has it, or this user may not.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise DataError(f"Nothing can listen at {host}, port {port}: {error.strerror}. Name another --port.") from error
    return listener


def start(command: list[str], environment: dict[str, str], output: IO[str]) -> subprocess.Popen:
    """Start a program in its own process group. Ctrl-C then reaches this process only, which stops the others in order.

    Args:
        command: The program and its arguments.
        environment: All of its environment variables.
        output: Gets what it prints.
    """
    return subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)


def end(started: subprocess.Popen) -> None:
    """Ask a program to stop, and kill it after 20 s."""
    if started.poll() is None:
        started.terminate()  # an interrupt is ignored by what was started in the background of a script
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()


def end_by_signals(stack: contextlib.ExitStack) -> None:
    """Stop the started programs when a signal ends this process, such as when its terminal is closed."""

    def leave(*_: object) -> None:
        raise SystemExit(1)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            stack.callback(signal.signal, number, signal.signal(number, leave))


def tail(log: Path) -> str:
    """The last 1,000 characters of a log."""
    return log.read_text(errors="replace").strip()[-1000:]


def wait_until_ready(url: str, api: subprocess.Popen, log: Path) -> None:
    """Wait until an API takes in rows.

    Args:
        url: Its address.
        api: Its process.
        log: What it prints.

    Raises:
        DataError: It has ended; the text is the end of its log.
    """
    while api.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/ready", timeout=1).ok:
                return
        time.sleep(0.1)
    raise DataError(f"The API does not start:\n{tail(log)}")

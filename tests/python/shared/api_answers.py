"""Requests and answers of the API that several tests use, and a store that fails."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import requests

from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import StoreError
from shared.api_server import Client

DUPLICATE_KEY = "event_id was received before with another content"


class FaultyStore(SqliteStore):
    """A serving store that fails in the middle, or waits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fails, self.puts = False, 0
        self.go = threading.Event()
        self.go.set()

    def put(self, lines, streamed=False) -> None:
        lines = list(lines)
        self.puts += 1
        assert self.go.wait(30)
        if self.fails:
            super().put(lines[: len(lines) // 2], streamed)
            raise StoreError("The store is away.")
        super().put(lines, streamed)

    def lines(self, *arguments):
        if self.fails:
            raise StoreError("The store is away.")
        return super().lines(*arguments)


def answers(call) -> tuple[int, str | None, str]:
    answer = call()
    return answer.status_code, answer.headers.get("Retry-After"), answer.text


def patiently(post) -> requests.Response:
    """The answer, where 503 says that another process takes in the same rows just now."""
    deadline = time.monotonic() + 20
    while (answer := post()).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer


AWAY = (503, "5", '{"detail":"Try again later"}')
PAIR = {"InvoiceNo": "536365", "StockCode": "85123A"}


def pages(api: Client, path: str, parameters: dict) -> list[dict]:
    """All pages of an answer."""
    found = [api.get(path, **parameters).json()]
    while cursor := found[-1]["next_cursor"]:
        found.append(api.get(path, **parameters, cursor=cursor).json())
    return found


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def sealed(folder: Path) -> list[Path]:
    return sorted(folder.glob("day=*/*"))

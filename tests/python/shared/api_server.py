"""The API on folders of a test's own: in this process, and as the command that people run."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import requests
import uvicorn
from conftest import PROJECT

from retail_warehouse.serving.api import create_app
from retail_warehouse.serving.connections import Config, Connections
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import ServingStore
from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer
from retail_warehouse.streaming.intake import Intake
from retail_warehouse.streaming.landing import Landing
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.rules import Rules

GOOD = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HANGING HEART T-LIGHT HOLDER",
    "Quantity": "6",
    "InvoiceDate": "12/1/2010 8:26",
    "UnitPrice": "2.55",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


def row(number: int = 2, delivery: str = "till", **changes) -> dict:
    return {"event_id": f"{delivery}:{number}", **GOOD, **changes}


def statuses(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["status"] for result in answer.json()["rows"]]


def landed(folder: Path) -> dict[str, list[dict]]:
    """What dbt sees: the events of each file, which are whole and numbered from 1."""
    files = {}
    for path in sorted(folder.glob("day=*/*.ndjson")):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n")
        events = [json.loads(line) for line in text.splitlines()]
        assert [event["landing_position"] for event in events] == list(range(1, len(events) + 1)), path
        date = path.name[:8]
        assert path.parent.name == f"day={date[:4]}-{date[4:6]}-{date[6:]}"
        assert path.name not in files
        files[path.name] = events
    return files


def landed_ids(folder: Path) -> list[str]:
    return [event["event_id"] for events in landed(folder).values() for event in events]


class LandingInFolder:
    """A landing in a folder, as tests ask for it that look at both kinds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"ONLINE_RETAIL_LANDING": str(folder)}

    def open(self) -> LandingFolder:
        return LandingFolder(self.folder, 8_000, 0.1)

    look_seconds = 0.002

    def landed_ids(self) -> list[str]:
        return landed_ids(self.folder)

    def sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self.folder.glob("day=*/*")}

    def assert_tidy(self) -> None:
        assert list((self.folder / ".open").iterdir()) == []


def wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


class Client:
    """Asks an API with a token."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"
        if token is None:
            del self.session.headers["Authorization"]

    def post(self, content, **headers: str) -> requests.Response:
        """Post rows, or bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        named = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.session.post(f"{self.url}/transactions", data=body, headers=named, timeout=30)

    def another(self) -> "Client":
        """A client of another thread."""
        return Client(self.url, self.session.headers["Authorization"].removeprefix("Bearer "))

    def get(self, path: str, **parameters: str) -> requests.Response:
        return self.session.get(self.url + path, params=parameters, timeout=30)

    def pair(self, invoice_no: str = "536365", stock_code: str = "85123A") -> requests.Response:
        return self.get("/transactions", InvoiceNo=invoice_no, StockCode=stock_code)


class Server(Client):
    """An API in this process."""

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        issuer: LocalIssuer,
        store: ServingStore | None = None,
        seal_bytes: int = 16 << 20,
        seal_seconds: float = 60,
        lookups: int = 10**6,
        posts: int = 10**6,
        proxies: Sequence[str] = (),
        caller_header: str = "X-Forwarded-For",
        docs: bool = True,
        rejected_megabytes: int = 1024,
        landing: Landing | None = None,
        **more,
    ) -> None:
        self.folder, self.issuer = folder / "landing", issuer
        self.told: list[str] = []
        self.store = store or SqliteStore(folder / "serving.sqlite")
        landing = landing or LandingFolder(self.folder, seal_bytes, seal_seconds)
        self.intake = Intake(rules, self.store, landing, self.told.append)
        limits = (lookups, posts, docs, rejected_megabytes)
        self.app = create_app(lambda: self.intake, self.store, issuer.verifier(), *limits, **more)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = Connections(proxies=proxies)
        self._server = uvicorn.Server(Config(self.app, self.connections, proxies, caller_header, log_config=None))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)
        super().__init__(f"http://127.0.0.1:{self.port}", issuer.token([READ, WRITE]))

    def of(self, token: str | None) -> Client:
        return Client(self.url, token)

    @contextlib.contextmanager
    def connection(self):
        """A bare connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as opened:
            yield opened

    def head(self, *headers: str) -> bytes:
        """The head of a post with a good token."""
        lines = ["POST /transactions HTTP/1.1", "Host: api", "Content-Type: application/json"]
        lines += [f"Authorization: {self.session.headers['Authorization']}", *headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def close(self) -> None:
        self.session.close()
        self._server.should_exit = True
        self._thread.join(30)
        self.intake.close()
        self.store.close()


def copy_rules(project: Path) -> None:
    """Make a project of what the rules are compiled from, with those that were compiled."""
    for name in ("macros", "models/staging", "models/intermediate", "seeds/reference"):
        shutil.copytree(PROJECT / name, project / name)
    (project / "target").mkdir()
    shutil.copy(PROJECT / "dbt_project.yml", project)
    for path in (PROJECT / "target").glob("streaming_rules_*.json"):
        shutil.copy(path, project / "target")


def _hear_hangups() -> None:
    """Under nohup, as the tests may run, every process would ignore them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Process(Client):
    """`retail-warehouse serve`, in a copy of what the rules are compiled from, with a key of its own."""

    def __init__(
        self, folder: Path, *options: str, program: Sequence[str] = ("-m", "retail_warehouse"), **environment: str
    ) -> None:
        self.project, self.folder, self.output = folder / "project", folder / "landing", folder / "output.txt"
        if not self.project.exists():
            copy_rules(self.project)
        issuer = LocalIssuer(self.project / ".streaming")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            sys.executable,
            *program,
            "serve",
            "--port",
            str(port),
            "--posts",
            "100000",
            *options,
        ]
        given = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("COGNITO", "RETAIL", "LOG_", "LANDING_"))
        }
        given |= {"PYTHONPATH": str(PROJECT), "ONLINE_RETAIL_LANDING": str(self.folder), **environment}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.project, env=given, stdout=output, stderr=output, preexec_fn=_hear_hangups
            )
        super().__init__(f"http://127.0.0.1:{port}", issuer.token([READ, WRITE]))

    def ready(self) -> "Process":
        def answers() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{self.url}/ready", timeout=5).ok
            return False

        wait_until(answers, 60)
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

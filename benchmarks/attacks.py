"""Attacks an API with clients of its own. Reports what a good client notices meanwhile, and how much memory and disk it
takes.

    python benchmarks/attacks.py

The API runs with the usual limit of 1,024 open files. The attacker comes from another address of this machine
(127.0.0.2, so that this runs on Linux), the good client from 127.0.0.1, which looks up a transaction 20 times a second,
each time by a connection of its own. After the kinds of `slowhttptest`: heads that never end, bodies that are announced
and never sent, bodies that dribble, answers that nobody takes, and connections that say nothing.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import psutil
import requests
from stream import free_port

from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer
from retail_warehouse.settings import STATE

PROJECT = Path(__file__).parents[1]
CONNECTIONS = 1_200
OPEN_FILES = 1_024
SECONDS = 20.0
GOOD = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "HOLDER",
    "Quantity": "6",
    "InvoiceDate": "12/1/2010 8:26",
    "UnitPrice": "2.55",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


class Good:
    """A client that sends 20 requests a second, and records whether and how fast they were answered."""

    def __init__(self, url: str, token: str) -> None:
        """Send nothing yet."""
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        self.seconds: list[float] = []
        self.failed = 0
        self._ends = threading.Event()

    def _ask(self) -> None:
        while not self._ends.wait(0.05):
            start = time.perf_counter()
            try:
                parameters = {"InvoiceNo": "536365", "StockCode": "85123A"}
                answer = requests.get(f"{self._url}/transactions", parameters, headers=self._headers, timeout=5)
                answer.raise_for_status()
                self.seconds.append(time.perf_counter() - start)
            except requests.RequestException:
                self.failed += 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Send requests until the block ends."""
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()

    def told(self) -> str:
        """What the client has noticed."""
        seconds = sorted(self.seconds) or [float("nan")]
        median, p99 = (1000 * seconds[int(share * len(seconds))] for share in (0.5, 0.99))
        return f"{len(self.seconds)} answers, {self.failed} failures, median {median:.0f} ms, p99 {p99:.0f} ms"


def hold(port: int, first: bytes, then: bytes) -> int:
    """Open connections, send something, dribble more, and open those that were cut again, for a while; returns how many
    the API has then."""
    held: list[socket.socket] = []

    def open_one() -> None:
        with suppress(OSError):
            one = socket.create_connection(("127.0.0.1", port), 2, ("127.0.0.2", 0))
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            one.sendall(first)
            one.setblocking(False)

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        while len(held) < CONNECTIONS and time.monotonic() < end:
            open_one()
        for one in list(held):
            try:
                if then:
                    one.send(then)
                if not one.recv(1, socket.MSG_PEEK):
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                one.close()
                held.remove(one)
        time.sleep(0.5)

    def still_open() -> int:
        return sum(
            1 for found in psutil.net_connections("tcp") if found.laddr.port == port and found.raddr and found.pid
        )

    count = still_open()
    for one in held:
        one.close()
    return count


@click.command(help=__doc__)
@click.option("--project", default=PROJECT, type=click.Path(path_type=Path), help="Another version of the project.")
def main(project: Path) -> None:
    """See the text above."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        issuer = LocalIssuer(project / STATE)
        token = issuer.token([READ, WRITE], hours=4)
        environment = os.environ | {
            "PYTHONPATH": str(project),
            "ONLINE_RETAIL_LANDING": str(folder / "landing"),
            "SERVING_STORE": str(folder / "serving.sqlite"),
        }

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))

        serve = [sys.executable, "-m", "retail_warehouse", "serve", "--port", str(port), "--posts", "10000"]
        with (folder / "log").open("wb") as log:
            api = subprocess.Popen(serve, cwd=project, env=environment, stdout=log, stderr=log, preexec_fn=limited)
        process = psutil.Process(api.pid)
        peak = 0.0
        watched = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not watched.wait(0.02):
                with suppress(psutil.NoSuchProcess):
                    peak = max(peak, process.memory_info().rss / (1 << 20))

        try:
            while True:
                with suppress(requests.RequestException):
                    if requests.get(f"{url}/ready", timeout=1).ok:
                        break
                time.sleep(0.1)
            threading.Thread(target=watch, daemon=True).start()
            attack(url, port, token, issuer, folder)
            click.echo(f"peak memory of the API, in all: {peak:,.0f} MB")
        finally:
            watched.set()
            start = time.monotonic()
            api.terminate()
            try:
                api.wait(20)
                click.echo(f"ended by SIGTERM within {time.monotonic() - start:.1f} s")
            except subprocess.TimeoutExpired:
                api.kill()


def post(session: requests.Session, url: str, content: object) -> requests.Response:
    """Send rows."""
    headers = {"Content-Type": "application/json"}
    return session.post(f"{url}/transactions", data=json.dumps(content), headers=headers, timeout=120)


def attack(url: str, port: int, token: str, issuer: LocalIssuer, folder: Path) -> None:
    """Attack in each way, one after the other."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    post(session, url, {"event_id": "good:2", **GOOD})
    hold_connections(url, port, token)
    send_bad_tokens(url, token, issuer)
    send_large_bodies(url, token, folder)
    ask_for_long_answers(url, token, issuer)


def hold_connections(url: str, port: int, token: str) -> None:
    """Open connections and hold them in different ways."""
    head = f"POST /transactions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n".encode()
    body = b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    kinds = {
        "nothing is said": (b"", b""),
        "heads without an end": (b"GET /health HTTP/1.1\r\n", b"X: y\r\n"),
        "bodies that are announced, no token": (b"POST /transactions HTTP/1.1\r\nHost: a\r\n" + body, b""),
        "bodies that dribble, no token": (b"POST /transactions HTTP/1.1\r\nHost: a\r\n" + body, b"x"),
        "bodies that dribble, good token": (head + body, b"x"),
        "answers that nobody takes": (b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 10,) * 2,
    }
    for name, (first, then) in kinds.items():
        good = Good(url, token)
        with good.asking():
            count = hold(port, first, then)
        click.echo(f"{name}: {CONNECTIONS} connections, of which {count} are held; {good.told()}")
        time.sleep(1)


def send_bad_tokens(url: str, token: str, issuer: LocalIssuer) -> None:
    """Send bad tokens from the address of good ones."""
    good = Good(url, token)
    with good.asking(), ThreadPoolExecutor(10) as pool:

        def bad(at: int) -> int:
            headers = {"Authorization": f"Bearer {token[:-8]}{at:08d}"}
            return requests.get(f"{url}/transactions", headers=headers, timeout=20).status_code

        statuses = list(pool.map(bad, range(2_000)))
        fresh = [issuer.token([READ]) for _ in range(20)]
        asked = {"InvoiceNo": "536365", "StockCode": "85123A"}
        taken = sum(
            requests.get(f"{url}/transactions", asked, headers={"Authorization": f"Bearer {one}"}, timeout=20).ok
            for one in fresh
        )
    told = f"{statuses.count(401)} times 401, {statuses.count(429)} times 429; of 20 new good tokens {taken} are taken"
    click.echo(f"2,000 bad tokens of one address: {told}; {good.told()}")


def send_large_bodies(url: str, token: str, folder: Path) -> None:
    """Send large bodies, and measure how much of them is kept."""
    line = "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850"
    bodies = {
        "lines that cannot be split": [
            {"event_id": f"long{{}}:{at}", "raw_record": line + ",x" * 450_000} for at in range(2, 10)
        ],
        "short rows, rejected": [
            {"event_id": f"short{{}}:{at}", **GOOD, "Quantity": "x", "Description": "d" * 550} for at in range(2, 9_000)
        ],
        "good rows, long": [
            {"event_id": f"fine{{}}:{at}", **GOOD, "InvoiceNo": "1", "Description": "d" * 550} for at in range(2, 9_000)
        ],
    }
    for name, rows in bodies.items():
        before = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        text = json.dumps(rows)
        good = Good(url, token)
        with good.asking(), ThreadPoolExecutor(60) as pool:

            def send(at: int, text: str = text) -> int:
                try:
                    body = text.replace("{}", str(at)).encode()
                    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                    return requests.post(f"{url}/transactions", body, headers=headers, timeout=300).status_code
                except requests.RequestException:
                    return 0

            statuses = list(pool.map(send, range(60)))
        after = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        counts = ", ".join(f"{statuses.count(status)} times {status}" for status in sorted(set(statuses)))
        size = f"60 requests of {len(text) / 1e6:.1f} MB"
        click.echo(f"{size}, {name}: {counts}; {(after - before) / 1e6:,.0f} MB on the disk; {good.told()}")


def ask_for_long_answers(url: str, token: str, issuer: LocalIssuer) -> None:
    """Look up an invoice of 60,000 lines."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {issuer.token([WRITE], subject='another')}"
    for part in range(6):
        many = [{"event_id": f"many-{part}:{at}", **GOOD, "InvoiceNo": "600000"} for at in range(2, 10_002)]
        while post(session, url, many).status_code == 503:
            time.sleep(1)
    good = Good(url, token)
    sizes = []
    with good.asking(), ThreadPoolExecutor(10) as pool:

        def long(_: int) -> None:
            asked = {"InvoiceNo": "600000", "StockCode": "85123A", "limit": "1000"}
            answer = requests.get(
                f"{url}/transactions", asked, headers={"Authorization": f"Bearer {token}"}, timeout=300
            )
            sizes.append(len(answer.content))

        list(pool.map(long, range(100)))
    click.echo(f"100 look-ups of 60,000 lines, {max(sizes) / 1e6:.2f} MB each: {good.told()}")


if __name__ == "__main__":
    main()

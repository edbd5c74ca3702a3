"""Looks up transactions of a whole Online Retail file with 50 clients at once.

    python benchmarks/lookups.py ~/online_retail/data.csv.gz --apis 2

Clients that ask again as soon as they are answered wait for one another: then the time of an answer is their number
over the rate, and tells what the machine can do. Clients that pause, as people's programs do, tell how long one waits.
The clients run on the cores of the API, or of several APIs on one folder, as behind a load balancer.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click
import duckdb
import uvloop
from stream import PROJECT, Process, environment_of, free_port, wait_for

from retail_warehouse.serving.tokens import READ, LocalIssuer
from retail_warehouse.settings import STATE

CLIENTS = 50
SECONDS = 10.0
PAUSE = 0.1  # seconds between two look-ups of a client that pauses
BY_CUSTOMER = 0.3


class Client(asyncio.Protocol):
    """Asks, waits for the answer, pauses and asks again. As light as can be, since it runs on the cores of the API."""

    def __init__(self, requests: Iterator[bytes], pause: Callable[[], float], seconds: list[float]) -> None:
        """Take requests and pauses (in seconds) from elsewhere, and add the seconds of each answer to a list."""
        self._requests, self._pause, self._seconds = requests, pause, seconds
        self._answer = b""
        self._left: int | None = None  # bytes of the answer that are still to come, once its head is there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)
        self._wait()

    def _wait(self) -> None:
        if pause := self._pause():
            asyncio.get_running_loop().call_later(pause, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        if self._transport.is_closing():
            return
        self._start = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if self._left is None:
            self._answer += data
            head, end, body = self._answer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            self._left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._seconds.append(time.perf_counter() - self._start)
            self._answer, self._left = b"", None
            self._wait()


async def ask(ports: list[int], token: str, keys: list[list[str]], pause: float) -> list[float]:
    """Seconds of each answer."""
    chance = random.Random(1)
    requests = []
    for invoice_no, stock_code, customer_id in keys:
        path = f"/transactions?InvoiceNo={invoice_no}&StockCode={stock_code}"
        if customer_id and chance.random() < BY_CUSTOMER:
            path = f"/customers/{customer_id}/invoices"
        requests.append(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    seconds: list[float] = []
    shared = itertools.cycle(requests)
    clients = [
        await asyncio.get_running_loop().create_connection(
            lambda: Client(shared, lambda: pause * (0.5 + chance.random()), seconds),
            "127.0.0.1",
            port,
        )
        for port in itertools.islice(itertools.cycle(ports), CLIENTS)
    ]
    await asyncio.sleep(SECONDS)
    assert not any(transport.is_closing() for transport, _ in clients), "a client got no answer, or another one"
    for transport, _ in clients:
        transport.close()
    return sorted(seconds)


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apis", default=1, show_default=True, type=click.IntRange(1), help="How many, each with a port.")
@click.option("--ask", "ports", type=int, multiple=True, hidden=True)
def main(file: Path, apis: int, ports: tuple[int, ...]) -> None:
    """See the text above."""
    if ports:
        keys = json.loads(file.read_text())
        for name, pause in (("without pause", 0.0), (f"with pauses of {1000 * PAUSE:.0f} ms", PAUSE)):
            seconds = uvloop.run(ask(list(ports), os.environ["RETAIL_WAREHOUSE_TOKEN"], keys, pause))
            median, p99 = (1000 * seconds[int(share * len(seconds))] for share in (0.5, 0.99))
            rate = len(seconds) / SECONDS
            click.echo(f"{CLIENTS} clients {name}: {rate:,.0f} per second, median {median:.1f} ms, p99 {p99:.1f} ms")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        environment = environment_of(file, folder)["bulk"]
        environment["RETAIL_WAREHOUSE_TOKEN"] = LocalIssuer(PROJECT / STATE).token([READ])
        environment["ONLINE_RETAIL_LANDING"] = str(folder / "landing")
        build = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--quiet"]
        build += ["--exclude-resource-type", "unit_test", "test"]
        tool = [sys.executable, "-m", "retail_warehouse"]
        subprocess.run(build, cwd=PROJECT, env=environment, check=True)
        subprocess.run([*tool, "publish"], cwd=PROJECT, env=environment, check=True)
        with duckdb.connect(environment["WAREHOUSE_PATH"], read_only=True) as connection:
            keys = connection.execute(
                "select invoice_no, stock_code, nullif(customer_id, 'Unknown') from online_retail.invoice_lines"
                " where stock_code not like '% %' using sample 5000 rows (reservoir, 1)"
            ).fetchall()
        (folder / "keys.json").write_text(json.dumps(keys))
        ports = tuple(free_port() for _ in range(apis))
        serve = [*tool, "serve", "--lookups", "1000000", "--port"]
        with contextlib.ExitStack() as stack:
            for port in ports:
                api = Process([*serve, str(port)], environment, folder / "api.log")
                stack.callback(api.stop)
                wait_for(f"http://127.0.0.1:{port}", api)
            client = [sys.executable, __file__, str(folder / "keys.json")]
            client += [f"--ask={port}" for port in ports]
            subprocess.run(client, env=environment, check=True)


if __name__ == "__main__":
    main()

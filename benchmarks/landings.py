"""Sends rows to an API that lands in a folder, and to one that lands on S3 without a disk, in turns, and tells how many
it takes and how long an answer takes.

    python benchmarks/landings.py
    python benchmarks/landings.py --seconds 5 --rounds 1

S3 and DynamoDB are those of ministack, an emulator on the same machine, without the way to AWS and back; so it tells
what the API's own work costs, and not how fast AWS is. Each commit waits for about five requests, one after the other:
add five times the time of one from where the API runs. The landing in a folder is the baseline of each round.
"""

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import click
import requests
from stream import PROJECT, Process, free_port, wait_for

from retail_warehouse.serving.dynamodb_store import create_table
from retail_warehouse.serving.tokens import WRITE, LocalIssuer
from retail_warehouse.settings import STATE
from retail_warehouse.streaming.event_list import create_events_table

BASELINE = "folder, SQLite"
# Clients that send at a time, and rows of each of their requests.
LOADS = {"single rows, 8 clients": (8, 1), "500 rows a request, 2 clients": (2, 500)}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
ROW = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HANGING HEART T-LIGHT HOLDER",
    "Quantity": "6",
    "InvoiceDate": "12/1/2010 8:26",
    "UnitPrice": "2.55",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


@dataclass
class Figures:
    """What was measured of a landing under a load.

    Args:
        rows: Rows that were accepted.
        seconds: In so much time.
        latencies: Seconds of each request.
    """

    rows: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[dict[str, str]]:
    """An emulator of S3 and DynamoDB; yields the environment in which boto3 finds it."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    given = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", **CREDENTIALS}
    with (folder / "emulator.log").open("w") as log:
        program = [str(Path(sys.executable).parent / "ministack")]
        running = subprocess.Popen(program, env=os.environ | given, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{address}/_ministack/health", timeout=1).ok:
                    break
            time.sleep(0.1)
        yield {"AWS_ENDPOINT_URL": address, **CREDENTIALS}
    finally:
        running.terminate()
        running.wait()


def landings(folder: Path, aws: dict[str, str]) -> dict[str, dict[str, str]]:
    """The environments of the APIs, by the names of what they land in and store for look-ups."""
    address = {"endpoint_url": aws["AWS_ENDPOINT_URL"], "region_name": aws["AWS_DEFAULT_REGION"]}
    keys = {name.lower(): text for name, text in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
    boto3.client("s3", **address, **keys).create_bucket(Bucket="bucket")
    dynamodb = boto3.client("dynamodb", **address, **keys)
    for events in ("events-a", "events-b"):
        create_events_table(dynamodb, events)
    create_table(dynamodb, "lines")
    on_s3 = {**aws, "ONLINE_RETAIL_LANDING": "s3://bucket/a", "LANDING_EVENTS": "dynamodb:events-a"}
    in_dynamodb = {"ONLINE_RETAIL_LANDING": "s3://bucket/b", "LANDING_EVENTS": "dynamodb:events-b"}
    return {
        BASELINE: {
            "ONLINE_RETAIL_LANDING": str(folder / "landing"),
            "SERVING_STORE": str(folder / "folder.sqlite"),
        },
        "S3, SQLite": {**on_s3, "SERVING_STORE": str(folder / "s3.sqlite")},
        "S3, DynamoDB": {**on_s3, **in_dynamodb, "SERVING_STORE": "dynamodb:lines"},
    }


def send(url: str, token: str, clients: int, rows: int, seconds: float, mark: str) -> Figures:
    """Send requests one after the other with each client, and see that all rows are accepted.

    Args:
        url: Address of the API.
        token: With the scope to write.
        clients: That send at a time.
        rows: Of a request.
        seconds: For how long.
        mark: What the names of the deliveries begin with, so that no row was sent before.
    """
    figures, lock = Figures(), threading.Lock()
    start = time.monotonic()

    def work(client: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            for number in itertools.count():
                first = 2 + number * rows
                body = [{"event_id": f"{mark}/{client}:{one}", **ROW} for one in range(first, first + rows)]
                began = time.perf_counter()
                answer = session.post(f"{url}/transactions", json=body, timeout=60)
                took = time.perf_counter() - began
                if answer.status_code != 200 or answer.json()["accepted"] != rows:
                    raise RuntimeError(f"{answer.status_code} {answer.text[:200]}")
                with lock:
                    figures.rows += rows
                    figures.latencies.append(took)
                if time.monotonic() - start > seconds:
                    return

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    figures.seconds = time.monotonic() - start
    return figures


def measure(seconds: float, rounds: int) -> dict[tuple[str, str], list[Figures]]:
    """The figures of each round, by load and landing."""
    measured: dict[tuple[str, str], list[Figures]] = {}
    token = LocalIssuer(PROJECT / STATE).token([WRITE], hours=24)
    with tempfile.TemporaryDirectory() as scratch, emulator(Path(scratch)) as aws:
        folder = Path(scratch)
        for at, (name, given) in itertools.product(range(rounds), landings(folder, aws).items()):
            url = f"http://127.0.0.1:{free_port()}"
            serve = [sys.executable, "-m", "retail_warehouse", "serve", "--posts", "100000", "--port"]
            api = Process([*serve, url.rpartition(":")[2]], {**os.environ, **given}, folder / "api.log")
            try:
                wait_for(url, api)
                for load, (clients, rows) in LOADS.items():
                    send(url, token, clients, rows, 1.0, f"warm/{name}/{at}/{rows}")
                    figures = send(url, token, clients, rows, seconds, f"{name}/{at}/{rows}")
                    measured.setdefault((load, name), []).append(figures)
            finally:
                api.stop()
    return measured


def told(measured: dict[tuple[str, str], list[Figures]]) -> str:
    """The figures as a table; those of the median round."""
    lines = ["| load | landing, look-ups | rows per second | answer, median / p99 |", "|---|---|---|---|"]
    for (load, name), rounds in measured.items():
        speed = statistics.median(one.rows / one.seconds for one in rounds)
        base = statistics.median(one.rows / one.seconds for one in measured[load, BASELINE])
        latencies = sorted(took for one in rounds for took in one.latencies)
        middle, most = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
        answer = f"{1000 * middle:.0f} / {1000 * most:.0f} ms"
        lines.append(f"| {load} | {name} | {speed:,.0f} ({speed / base:.2f}) | {answer} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True, help="Of each load.")
@click.option("--rounds", default=3, show_default=True, help="How often each landing is measured, in turns.")
def main(seconds: float, rounds: int) -> None:
    """See the text above."""
    click.echo(told(measure(seconds, rounds)))
    click.echo(f"Load of the machine, one minute: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

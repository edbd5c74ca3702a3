"""Looks up transactions of a whole Online Retail file, or predictions of all users, with 50 clients at once.

    python benchmarks/lookups.py ~/online_retail/data.csv.gz --apis 2
    python benchmarks/lookups.py --predictions --write

Predictions are those of made-up users, as many as Instacart has, which are generated, trained on and predicted first;
--warehouse and --models take what was built before. How long it takes to publish them is measured too, and with --write
benchmarks/SERVING.md is written.

Clients that ask again as soon as they are answered wait for one another: then the time of an answer is their number
over the rate, and tells what the machine can do. Clients that pause, as people's programs do, tell how long one waits.
The clients run on the cores of the API, or of several APIs on one folder, as behind a load balancer.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import boto3
import click
import duckdb
import uvloop
from bench import FULL_SIZE_USERS, machine
from moto.server import ThreadedMotoServer
from stream import PROJECT, Process, environment_of, free_port, wait_for

from retail_warehouse.serving.predictions_dynamodb import DynamoDbPredictions, create_predictions_table
from retail_warehouse.serving.predictions_store import SqliteGeneration as Generation
from retail_warehouse.serving.predictions_store import SqlitePredictions
from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS, LocalIssuer
from retail_warehouse.serving.user_predictions import UserPredictions
from retail_warehouse.settings import STATE

CLIENTS = 50
SECONDS = 10.0
PAUSE = 0.1  # seconds between two look-ups of a client that pauses
BY_CUSTOMER = 0.3
OF_NOBODY = 0.25  # of the carts
DYNAMODB_USERS = 5_000  # that are published into moto
TARGETS = {"next-order": 10, "carts/next": 25}  # ms, p99 with pauses


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


async def ask(ports: list[int], requests: list[bytes], pause: float) -> list[float]:
    """Seconds of each answer."""
    chance = random.Random(1)
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


def request(token: str, method: str, path: str, body: str = "") -> bytes:
    """What a client sends."""
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}".encode()


@dataclass
class Answers:
    """What clients have waited for.

    Args:
        rate: Answers per second.
        median: Milliseconds.
        p99: Milliseconds.
    """

    rate: float
    median: float
    p99: float


def ask_all(file: Path, ports: tuple[int, ...]) -> None:
    """Ask for all that a file names, and write a line of JSON for each kind and pause."""
    token = os.environ["RETAIL_WAREHOUSE_TOKEN"]
    for kind, asked in json.loads(file.read_text()).items():
        requests = [request(token, *parts) for parts in asked]
        for pause in (0.0, PAUSE):
            seconds = uvloop.run(ask(list(ports), requests, pause))
            median, p99 = (1000 * seconds[int(share * len(seconds))] for share in (0.5, 0.99))
            print(json.dumps([kind, pause, len(seconds) / SECONDS, median, p99]), flush=True)


def measured(asked: dict[str, list], environment: dict[str, str], folder: Path, apis: int) -> dict[tuple, Answers]:
    """Start APIs and clients, and return what the clients have waited for, by kind and pause.

    Args:
        asked: Requests by kind: method, path and body.
        environment: Of the APIs.
        folder: For what is written.
        apis: How many, each with a port.
    """
    (folder / "asked.json").write_text(json.dumps(asked))
    ports = [free_port() for _ in range(apis)]
    serve = [sys.executable, "-m", "retail_warehouse", "serve", "--lookups", "1000000", "--port"]
    with contextlib.ExitStack() as stack:
        for port in ports:
            api = Process([*serve, str(port)], environment, folder / "api.log")
            stack.callback(api.stop)
            wait_for(f"http://127.0.0.1:{port}", api)
        clients = [sys.executable, __file__, str(folder / "asked.json"), *(f"--ask={port}" for port in ports)]
        said = subprocess.run(clients, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    answers = {}
    for line in said.splitlines():
        kind, pause, *figures = json.loads(line)
        answers[kind, pause] = Answers(*figures)
        how = f"with pauses of {1000 * pause:.0f} ms" if pause else "without pause"
        rate, median, p99 = figures
        click.echo(f"{kind}, {CLIENTS} clients {how}: {rate:,.0f} per second, median {median:.1f} ms, p99 {p99:.1f} ms")
    return answers


def run(environment: dict[str, str], name: str, *arguments: str) -> None:
    """Run dbt or retail-warehouse until it ends."""
    program = [sys.executable, "-m", "retail_warehouse"]
    if name == "dbt":
        program = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]
    subprocess.run([*program, *arguments], cwd=PROJECT, env=environment, check=True)


def transactions(file: Path, apis: int, folder: Path) -> None:
    """Look up transactions of a file, and invoices of customers."""
    environment = environment_of(file, folder)["bulk"]
    environment["RETAIL_WAREHOUSE_TOKEN"] = LocalIssuer(PROJECT / STATE).token([READ])
    environment["ONLINE_RETAIL_LANDING"] = str(folder / "landing")
    run(environment, "dbt", "build", "--quiet", "--exclude-resource-type", "unit_test", "test")
    run(environment, "retail-warehouse", "publish")
    with duckdb.connect(environment["WAREHOUSE_PATH"], read_only=True) as connection:
        keys = connection.execute(
            "select invoice_no, stock_code, nullif(customer_id, 'Unknown') from online_retail.invoice_lines"
            " where stock_code not like '% %' using sample 5000 rows (reservoir, 1)"
        ).fetchall()
    chance = random.Random(1)
    asked = []
    for invoice_no, stock_code, customer_id in keys:
        path = f"/transactions?InvoiceNo={invoice_no}&StockCode={stock_code}"
        if customer_id and chance.random() < BY_CUSTOMER:
            path = f"/customers/{customer_id}/invoices"
        asked.append(("GET", path))
    measured({"transactions": asked}, environment, folder, apis)


def predicted(users: int, folder: Path, environment: dict[str, str]) -> None:
    """Generate users, train on them and predict their next orders."""
    run(environment, "retail-warehouse", "generate", "instacart", "--users", str(users), "--out", str(folder / "data"))
    run(environment, "dbt", "run", "--quiet", "--select", "+tag:features")
    run(environment, "retail-warehouse", "train")
    run(environment, "retail-warehouse", "predict")
    run(environment, "dbt", "run", "--quiet", "--selector", "predictions")


def carts_of(generation: Generation, count: int, chance: random.Random) -> list[tuple[str, str, str]]:
    """Carts of users on their way: the beginnings of their last orders, every fourth without a user."""
    asked = []
    for user_id in chance.sample(range(1, generation.count() + 1), count):
        user = UserPredictions.unpack(generation.user(user_id) or b"")
        last = user.carts(1)[0].tolist()
        cart = {"product_ids": last[: chance.randint(1, len(last))]}
        if chance.random() >= OF_NOBODY:
            cart["user_id"] = user_id
        asked.append(("POST", "/carts/next", json.dumps(cart)))
    return asked


def into_dynamodb(generation: Generation, users: int) -> float:
    """Rows per second that are published into a DynamoDB table of moto, which is slower than AWS.

    Args:
        generation: Where they are taken from.
        users: How many.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    key = {"aws_access_key_id": "AKIAFAKE", "aws_secret_access_key": "fake", "region_name": "eu-central-1"}
    client = boto3.client("dynamodb", endpoint_url=f"http://{host}:{port}", **key)
    create_predictions_table(client, "predictions")
    content = [(user, generation.user(user) or b"") for user in range(1, users + 1)]
    start = time.perf_counter()
    DynamoDbPredictions("predictions", client).replace(b"", content)
    seconds = time.perf_counter() - start
    client.delete_table(TableName="predictions")  # all servers of moto in a process share their tables
    server.stop()
    return users / seconds


def predictions(warehouse: Path | None, models: Path | None, users: int, apis: int, folder: Path, write: bool) -> None:
    """Publish predictions, and look them up."""
    environment = dict(os.environ) | {
        "INSTACART_DATA": str(folder / "data"),
        "WAREHOUSE_PATH": str(warehouse or folder / "warehouse.duckdb"),
        "PREDICTIONS_DATA": str(folder / "predictions"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "SERVING_STORE": str(folder / "serving.sqlite"),
        "ONLINE_RETAIL_LANDING": str(folder / "landing"),
        "RETAIL_WAREHOUSE_TOKEN": LocalIssuer(PROJECT / STATE).token([READ_PREDICTIONS], hours=3),
    }
    if warehouse is None:
        predicted(users, folder, environment)
    start = time.perf_counter()
    run(environment, "retail-warehouse", "publish", "predictions", *(["--models", str(models)] if models else []))
    seconds = time.perf_counter() - start
    generation = SqlitePredictions(folder / "serving.predictions.sqlite").open()
    assert generation is not None
    count = generation.count()
    click.echo(f"{count:,} users published in {seconds:.0f} s, {count / seconds:,.0f} users per second")
    rate = into_dynamodb(generation, min(count, DYNAMODB_USERS))
    click.echo(f"into DynamoDB (moto): {rate:,.0f} users per second")
    chance = random.Random(1)
    asked = {
        "next-order": [("GET", f"/users/{chance.randint(1, count)}/next-order") for _ in range(5_000)],
        "carts/next": carts_of(generation, min(count, 5_000), chance),
    }
    answers = measured(asked, environment, folder, apis)
    if write:
        text = report(count, seconds, rate, apis, answers)
        (Path(__file__).parent / "SERVING.md").write_text(text, encoding="utf-8")


def report(users: int, seconds: float, rate: float, apis: int, answers: dict[tuple, Answers]) -> str:
    """The page of the figures."""
    rows = []
    for (kind, pause), found in answers.items():
        target = f"at most {TARGETS[kind]} ms" if pause else ""
        how = f"pauses of {1000 * pause:.0f} ms" if pause else "no pause"
        rows.append(f"| {kind}, {how} | {found.rate:,.0f} | {found.median:.1f} | {found.p99:.1f} | {target} |")
    apis_ = "1 API" if apis == 1 else f"{apis} APIs"
    return f"""# Predictions served

`python benchmarks/lookups.py --predictions --apis {apis} --write`, {machine()}.

{users:,} made-up users. Published into SQLite by `retail-warehouse publish predictions` in {seconds:.0f} s (at most
300 s), {users / seconds:,.0f} users per second. Into DynamoDB {rate:,.0f} users per second, on moto, which is a program
in Python on the same machine.

{CLIENTS} clients and {apis_} on the same machine, {SECONDS:.0f} s each. Carts are the beginnings of the users' last
orders, every fourth without a user. Times in ms.

| look-ups | per second | median | p99 | p99, target |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


@click.command(help=__doc__)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apis", default=1, show_default=True, type=click.IntRange(1), help="How many, each with a port.")
@click.option("--predictions", "of_predictions", is_flag=True, help="Look up predictions.")
@click.option("--users", default=FULL_SIZE_USERS, show_default=True, help="Users with predictions.")
@click.option("--warehouse", type=click.Path(exists=True, path_type=Path), help="A warehouse with predictions.")
@click.option("--models", type=click.Path(exists=True, path_type=Path), help="Its models.")
@click.option("--write", is_flag=True, help="Write SERVING.md.")
@click.option("--ask", "ports", type=int, multiple=True, hidden=True)
def main(
    file: Path | None,
    apis: int,
    of_predictions: bool,
    users: int,
    warehouse: Path | None,
    models: Path | None,
    write: bool,
    ports: tuple[int, ...],
) -> None:
    """See the text above."""
    if ports and file:
        ask_all(file, ports)
        return
    if of_predictions == (file is not None):
        raise click.UsageError("Name a file of Online Retail, or --predictions.")
    with tempfile.TemporaryDirectory() as scratch:
        if file is not None:
            transactions(file, apis, Path(scratch) / "run")
        else:
            predictions(warehouse, models, users, apis, Path(scratch), write)


if __name__ == "__main__":
    main()

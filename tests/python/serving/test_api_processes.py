"""The API as processes: several on one folder, killed, stopped, and started."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests
from conftest import PROJECT
from shared.api_answers import PAIR, answers, pages, patiently, sealed
from shared.api_server import Client, Process, landed_ids, row, statuses, wait_until

from retail_warehouse.errors import DataError
from retail_warehouse.serving import service
from retail_warehouse.serving.dynamodb_store import create_table
from retail_warehouse.streaming import intake as intake_module
from retail_warehouse.streaming import rules
from retail_warehouse.streaming.landing_folder import LandingFolder
from retail_warehouse.streaming.rules import Event, Rules

pytestmark = pytest.mark.usefixtures("compiled")  # processes copy what it leaves in the project


def test_two_apis_land_each_event_once(serve, compiled, landing, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", max(0.05, landing.look_seconds))
    apis = [serve(landing=landing.open()), serve(Rules(compiled), landing=landing.open())]
    numbers = range(2, 202)
    accepted: list[str] = []
    sizes: dict[str, int] = {}
    grown, done = [], threading.Event()

    def watch() -> None:
        while not done.wait(landing.look_seconds):
            for name, size in landing.sizes().items():
                if sizes.setdefault(name, size) != size:
                    grown.append(name)

    def send(at: int) -> None:
        chance = random.Random(at)
        client = apis[at % 2].another()
        for _ in range(10):
            sent = [row(number, Quantity=str(number % 7)) for number in chance.choices(numbers, k=30)]
            results = patiently(lambda sent=sent: client.post(sent)).json()["rows"]
            assert {result["status"] for result in results} <= {"accepted", "duplicate"}
            accepted.extend(result["event_id"] for result in results if result["status"] == "accepted")
            contradiction = row(int(results[0]["event_id"].partition(":")[2]), Quantity="100")
            assert statuses(patiently(lambda row=contradiction: client.post(row))) == ["rejected"]

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert statuses(apis[0].post([row(n, Quantity=str(n % 7)) for n in numbers])).count("rejected") == 0
    assert apis[1].pair().json()["line_count"] == len(numbers)
    done.set()
    watcher.join()
    for api in apis:
        api.close()
        assert api.told == []
    everything = {f"till:{number}" for number in numbers}
    assert len(accepted) == len(set(accepted)) > 170
    ids = landing.landed_ids()
    assert len(ids) == len(everything)
    assert set(ids) == everything
    assert grown == []
    landing.assert_tidy()


def test_apis_that_start_at_once_make_one_index(tmp_path):
    for at in range(5):
        folder, start, failures = tmp_path / str(at), threading.Barrier(4), []

        def work(folder=folder, start=start, failures=failures) -> None:
            try:
                start.wait(20)
                landing = LandingFolder(folder, 1 << 20, 60)
                with landing.transaction():
                    landing.append([Event(f"{threading.get_ident()}:2", "x")])
                landing.close()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(landed_ids(folder)) == 4


def kill_while_it_is_sent_to(api: Process, after: int = 300) -> tuple[list[list[dict]], list[str]]:
    """Kill an API while three clients send, once so many rows are acknowledged. Returns what was sent, and the ids of
    what was acknowledged."""
    sent: list[list[dict]] = []
    acknowledged: list[str] = []

    def send(at: int) -> None:
        client = Client(api.url, None)
        client.session.headers = api.session.headers
        for part in range(10_000):
            # Each second list was also sent by another client.
            rows = [row(number, f"part-{part * 3 + at if part % 2 else part}") for number in range(2, 22)]
            sent.append(rows)
            try:
                answer = client.post(rows)
            except requests.RequestException:
                return
            assert {"accepted", "duplicate"} >= set(statuses(answer))
            acknowledged.extend(one["event_id"] for one in rows)

    with ThreadPoolExecutor(3) as pool:
        sending = [pool.submit(send, at) for at in range(3)]
        wait_until(lambda: len(acknowledged) > after, 30)
        api.process.send_signal(signal.SIGKILL)
        for one in sending:
            one.result()
    api.process.wait()
    return sent, acknowledged


@pytest.mark.parametrize("hand_over", ["30", "0.2"])
def test_acknowledged_rows_survive_kill_9(tmp_path, hand_over):
    api = Process(tmp_path, "--hand-over", hand_over).ready()
    sent, acknowledged = kill_while_it_is_sent_to(api)
    if hand_over == "30":
        [left] = (api.folder / ".open").iterdir()
        with left.open("ab") as file:
            file.write(b'{"event_id": "torn:2", "landing_position": 9')
    api = Process(tmp_path, "--hand-over", "0.2").ready()
    found = {one["invoice_line_id"] for page in pages(api, "/transactions", PAIR) for one in page["lines"]}
    assert set(acknowledged) <= found, "they can be looked up"
    assert set(acknowledged) <= set(landed_ids(api.folder)), "they are handed over"
    for rows in sent:
        assert {"accepted", "duplicate"} >= set(statuses(api.post(rows)))
    assert api.end() == 0
    ids = landed_ids(api.folder)
    assert len(ids) == len(set(ids))
    assert set(ids) == {one["event_id"] for rows in sent for one in rows}
    assert list((api.folder / ".open").iterdir()) == []


QUICK = "from retail_warehouse.streaming import landing_s3; landing_s3.LOOKED_INTO = 1.0; "
QUICK += "from retail_warehouse.cli import main; main()"


def test_acknowledged_rows_survive_kill_9_without_a_disk(tmp_path, on_s3):
    """The second API has nothing of the first one's disk."""
    given = on_s3.environment | {"SERVING_STORE": f"dynamodb:{on_s3.table}-lines"}
    create_table(on_s3.aws.dynamodb, f"{on_s3.table}-lines")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    sent, acknowledged = kill_while_it_is_sent_to(Process(tmp_path / "a", **given).ready(), after=200)
    assert not (tmp_path / "a/project/.streaming/landing").exists()
    assert not (tmp_path / "a/landing").exists()
    assert set(acknowledged) <= set(on_s3.landed_ids()), "dbt sees them"
    api = Process(tmp_path / "b", program=("-c", QUICK), **given).ready()
    found = {one["invoice_line_id"] for page in pages(api, "/transactions", PAIR) for one in page["lines"]}
    assert set(acknowledged) <= found, "they can be looked up"
    assert found <= set(on_s3.landed_ids())
    for rows in sent:
        assert {"accepted", "duplicate"} >= set(statuses(patiently(lambda rows=rows: api.post(rows))))
    assert api.end() == 0
    ids = on_s3.landed_ids()
    assert len(ids) == len(set(ids))
    assert set(ids) == {one["event_id"] for rows in sent for one in rows}
    on_s3.assert_tidy()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_hands_the_last_file_over_and_the_log_tells_nothing_of_requests(tmp_path, number):
    api = Process(tmp_path, "--hand-over", "600", "--lookups", "2", LOG_LEVEL="info").ready()
    secrets = ["secret-till", "9898989", "SECRETCODE", "777777", "secret text", "Freedonia", "garbage-token"]
    private = {"InvoiceNo": "9898989", "StockCode": "SECRETCODE", "CustomerID": "777777", "Country": "Freedonia"}
    assert statuses(api.post(row(2, "secret-till", Description="secret text", **private))) == ["accepted"]
    assert statuses(api.post(row(3, "secret-till", Quantity="secret text", **private))) == ["rejected"]
    assert api.post(row(4, "secret-till", secret="secret text", **private)).status_code == 422
    assert api.post(b"secret text").status_code == 422
    assert api.post(b"secret text", Content_Type="text/secret").status_code == 415
    assert api.pair("9898989", "SECRETCODE").status_code == 200
    assert api.pair("9898989", "\x00SECRETCODE").status_code == 422
    assert api.get("/customers/777777/invoices").status_code == 200
    assert api.get("/customers/777777x/invoices").status_code == 422
    assert api.get("/777777", InvoiceNo="9898989").status_code == 404
    assert Client(api.url, "garbage-token").pair("9898989", "SECRETCODE").status_code == 401
    assert {api.pair("9898989").status_code for _ in range(20)} == {404, 429}
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"9898989 garbage-token\r\n\r\n")
        assert b"400" in connection.recv(1_000)
    assert sealed(api.folder) == []
    assert api.end(number) == 0
    assert landed_ids(api.folder) == ["secret-till:2", "secret-till:3"]
    log = api.output.read_text()
    secrets += api.session.headers["Authorization"].removeprefix("Bearer ").split(".")
    assert [secret for secret in secrets if secret.lower() in log.lower()] == []
    assert "InvoiceNo" not in log
    assert "Traceback" not in log
    for told in (
        "POST /transactions 200 ",
        "POST /transactions 422 ",
        "POST /transactions 415 ",
        "GET /transactions 200 ",
        "GET /transactions 401 ",
        "GET /transactions 429 ",
        "GET /customers/{customer_id}/invoices 200 ",
        "GET - 404 ",
    ):
        assert told in log


def test_a_stop_does_not_wait_for_slow_clients_for_ever(tmp_path):
    api = Process(tmp_path, "--hand-over", "600").ready()
    assert statuses(api.post(row(2))) == ["accepted"]
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))) as connection:
        head = f"Authorization: {api.session.headers['Authorization']}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"POST /transactions HTTP/1.1\r\nHost: a\r\n{head}Content-Length: 9\r\n\r\n".encode())
        time.sleep(0.3)
        start = time.monotonic()
        assert api.end() == 0
    assert time.monotonic() - start < 5  # and not the 30 seconds that a body may take
    assert landed_ids(api.folder) == ["till:2"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_waits_neither_for_the_issuer_nor_tells_pages(tmp_path, number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api = Process(tmp_path, COGNITO_ISSUER=issuer, COGNITO_CLIENT_IDS="a").ready()
        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(lambda: suppressed(api.another().pair)) for _ in range(3)]
            silent.settimeout(10)
            silent.accept()[0].detach()
            start = time.monotonic()
            assert api.end(number) == 0
            assert time.monotonic() - start < 5
            for one in asking:
                one.result()
    assert api.output.read_text() == ""


def suppressed(call) -> None:
    with suppress(requests.RequestException):
        call()


def test_while_the_rules_are_made_ready_everything_is_answered_503(api, monkeypatch):
    ready, api.intake = api.intake, None
    calls = [lambda: api.get("/ready"), api.pair, lambda: api.post(row(2)), lambda: api.get("/customers/1/invoices")]
    for call in calls:
        assert answers(call) == (503, "2", '{"detail":"Starting; try again soon"}')
    assert api.get("/health").ok
    assert api.of("garbage").pair().status_code == 401
    api.intake = ready
    assert api.get("/ready").ok
    assert statuses(api.post(row(2))) == ["accepted"]


LOADING = """
import sys
from pathlib import Path
from retail_warehouse.streaming import rules

rules._COMPILER = (sys.executable, "-c", sys.argv[1])
rules.load(Path.cwd())
"""


COMPILING = """
import sys, time
from pathlib import Path
from retail_warehouse.streaming import compiled_rules

def compiled():
    with Path("begun").open("a") as file:
        file.write("x")
    while not Path("go").exists():
        time.sleep(0.01)
    return {"seed": {"path": "a.csv"}}

compiled_rules._compiled = compiled
compiled_rules.main()
"""


def test_what_was_compiled_is_kept_though_whoever_asked_for_it_is_killed(tmp_path):
    (tmp_path / "dbt_project.yml").touch()
    begun = tmp_path / "begun"

    def start() -> subprocess.Popen:
        command = [sys.executable, "-c", LOADING, COMPILING]
        return subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)})

    killed = start()
    wait_until(begun.exists, 20)
    killed.kill()
    killed.wait()
    others = [start(), start()]
    time.sleep(0.5)
    (tmp_path / "go").touch()
    assert [other.wait(20) for other in others] == [0, 0]
    assert begun.read_text() == "x", "it is compiled once, whoever waits for it"
    assert len(list((tmp_path / "target").glob("streaming_rules_*.json"))) == 1


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ONLINE_RETAIL_LANDING": ""}, "Set ONLINE_RETAIL_LANDING to the folder"),
        ({"ONLINE_RETAIL_LANDING": "gs://bucket"}, "must be a folder, without ~, or an s3:"),
        ({"LANDING_EVENTS": "events"}, "LANDING_EVENTS must be dynamodb:<table> .now: events"),
        ({"LANDING_EVENTS": "dynamodb:events"}, "LANDING_EVENTS is for rows that are landed on S3"),
        ({"ONLINE_RETAIL_LANDING": "/proc/nothing"}, "Events cannot be landed in /proc/nothing: "),
        ({"SERVING_STORE": "/proc/nothing/serving.sqlite"}, "cannot be made"),
        ({"RETAIL_WAREHOUSE_ENV": "production"}, "COGNITO_ISSUER is not set"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is LOUD"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, balancer"}, "TRUSTED_PROXIES names balancer: .*Name the addresses"),
        ({"CALLER_HEADER": "X-One, X-Two"}, "CALLER_HEADER must be the name of one header, .*now: X-One, X-Two"),
    ],
)
def test_what_stops_the_start_is_told_in_one_message(tmp_path, monkeypatch, environment, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(PROJECT / "dbt_project.yml", tmp_path)
    monkeypatch.setattr(service, "load", lambda folder: rules.load(PROJECT))

    class Fake:
        should_exit, seconds_left = False, 1.0

        def __init__(self, config) -> None:
            pass

        def run(self, sockets) -> None:
            wait_until(lambda: self.should_exit)

    monkeypatch.setattr(service, "_Server", Fake)
    names = ("COGNITO_ISSUER", "COGNITO_CLIENT_IDS", "COGNITO_JWKS_URL", "RETAIL_WAREHOUSE_ENV", "LOG_LEVEL")
    for name in (*names, "LANDING_EVENTS"):
        monkeypatch.delenv(name, raising=False)
    for name, text in ({"ONLINE_RETAIL_LANDING": str(tmp_path / "landing")} | environment).items():
        monkeypatch.setenv(name, text)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(DataError, match=message):
            service.serve("127.0.0.1", 0, 2.0, 1, 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

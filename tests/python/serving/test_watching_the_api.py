"""What operators see: health, readiness, metrics and logs, none of which tells who asked for what."""

import json
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import psutil
import pytest
import requests
from conftest import PROJECT
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from shared.api_server import copy_rules, row, wait_until

from retail_warehouse.serving.api import create_app
from retail_warehouse.serving.logs import JsonFormatter
from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.predictions_api import predictions_routes
from retail_warehouse.settings import Settings
from retail_warehouse.streaming import rules
from retail_warehouse.streaming.lag import note_processed, seconds_behind

pytestmark = pytest.mark.slow


def metrics_of(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_requests_rows_lag_and_model_are_counted(served):
    before = metrics_of(served.api.get("/metrics").text)
    served.api.post([row(2, "counted"), row(2, "counted"), row(3, "counted", Quantity="x")])
    served.of().get("/users/7/next-order")
    served.of().get("/users/91/next-order")
    served.api.session.request("PROPFIND", f"{served.api.url}/coffee/{'x' * 50}")
    answer = served.api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    after = metrics_of(answer.text)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert [more("retail_warehouse_rows_total", one) for one in ("accepted", "duplicate", "rejected")] == [1, 1, 1]
    route = "/users/{user_id}/next-order"
    assert more("retail_warehouse_requests_total", *sorted(("GET", route, "200"))) == 1
    assert more("retail_warehouse_requests_total", *sorted(("GET", route, "404"))) == 1
    assert more("retail_warehouse_request_seconds_count", route) == 2
    assert more("retail_warehouse_requests_total", *sorted(("other", "-", "404"))) == 1
    shop = served.published.now().shop
    assert after[("retail_warehouse_predictions", *sorted((shop.model_version, shop.predicted_at)))] == 1
    assert after[("retail_warehouse_predictions_users",)] == 90
    assert math.isnan(after[("retail_warehouse_lag_seconds",)])
    assert not re.search(r"coffee|PROPFIND|/users/7|counted", answer.text)


def test_another_model_takes_the_place_of_the_one_before():
    counted = Metrics()
    counted.predictions("one", "2026-01-01T00:00:00Z", 3)
    counted.predictions("two", "2026-01-02T00:00:00Z", 4)
    text = counted.text(12.5).decode()
    assert "one" not in text
    assert metrics_of(text)[("retail_warehouse_lag_seconds",)] == 12.5


def test_the_lag_is_the_age_of_the_oldest_file_that_dbt_has_not_read(tmp_path):
    now = datetime(2026, 11, 26, 0, 1, 0, tzinfo=UTC)
    names = ["20261125T235900000000-1-a.ndjson", "20261126T000030500000-1-b.ndjson", "20261126T000050000000-2-c.ndjson"]

    def land(name: str) -> None:
        folder = tmp_path / f"day={name[:4]}-{name[4:6]}-{name[6:8]}"
        folder.mkdir(exist_ok=True)
        (folder / name).touch()

    assert seconds_behind(tmp_path, now) is None
    land(names[0])
    note_processed(tmp_path, [])
    assert seconds_behind(tmp_path, now) is None
    note_processed(tmp_path, names[:1])
    assert seconds_behind(tmp_path, now) == 0
    land(names[2])
    land(names[1])
    assert seconds_behind(tmp_path, now) == 29.5
    note_processed(tmp_path, names)
    assert seconds_behind(tmp_path, now) == 0
    (tmp_path / ".processed").write_text("~")
    assert seconds_behind(tmp_path, now) == 0
    assert seconds_behind(tmp_path / "gone") is None


def answers(token, *sent) -> list[int]:
    app = create_app(lambda: None, FakeStore(), FakeVerifier(), docs=False, metrics_token=token)
    client = TestClient(app)
    return [client.get("/metrics", headers={"Authorization": one} if one else {}).status_code for one in sent]


class FakeStore:
    is_local = True


class FakeVerifier:
    pass


def test_metrics_may_need_a_token_or_be_off():
    assert answers("", None, "Bearer x") == [200, 200]
    assert answers("secret", None, "Bearer x", "Bearer sécret".encode(), "Bearer secret") == [401, 401, 401, 200]
    assert answers(None, None, "Bearer x") == [404, 404]


def test_health_before_the_rules_are_compiled_and_readiness_after(served):
    client = TestClient(create_app(lambda: None, FakeStore(), FakeVerifier(), docs=False))
    assert client.get("/health").json() == {"detail": "ok"}
    assert (client.get("/ready").status_code, client.get("/ready").headers["Retry-After"]) == (503, "2")
    assert served.api.of(None).get("/ready").json()["landing"] == served.api.intake.landing_identity


class Lines(logging.Handler):
    """Keeps what a program that reads the log would get."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log():
    """The root's log alone, as in the service: pytest hangs a handler of its own to each logger that keeps to itself,
    and so reads uvicorn's, which names the caller."""
    kept, loggers = Lines(), [logging.getLogger(), logging.getLogger("retail_warehouse.api")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    loggers[0].addHandler(kept)
    yield kept
    loggers[0].removeHandler(kept)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_json_logs_hold_each_request_and_no_personal_data(served, log):
    served.of().get("/users/7/next-order", secret="s3cret")
    served.of(customer="17850").get("/customers/12374/invoices")
    served.of().get("/products", search="s3cret")
    served.api.post(row(2, "s3cret", Description="s3cret"))
    served.api.of("s3cret.s3cret.s3cret").get("/users/7/next-order")

    def told() -> list[dict]:
        # A request is written once its answer has left: that of a test before may come first.
        return [json.loads(line) for line in log.lines if '"route"' in line][-5:]

    wait_until(lambda: [one["status"] for one in told()] == [200, 404, 200, 200, 401])
    assert [(one["method"], one["route"], one["status"]) for one in told()] == [
        ("GET", "/users/{user_id}/next-order", 200),
        ("GET", "/customers/{customer_id}/invoices", 404),
        ("GET", "/products", 200),
        ("POST", "/transactions", 200),
        ("GET", "/users/{user_id}/next-order", 401),
    ]
    for one in told():
        assert datetime.fromisoformat(one["time"]).tzinfo is not None
        assert one["ms"] >= 0
        assert one["level"] == "INFO"
    assert not re.search(r"s3cret|17850|12374|/7/|127\.0\.0\.1|Bearer", "\n".join(log.lines))


def test_an_error_in_a_log_is_its_kind_alone():
    record = logging.LogRecord("a", logging.ERROR, "", 1, "failed", None, (ValueError, ValueError("17850"), None))
    assert json.loads(JsonFormatter().format(record))["error"] == "ValueError"
    assert "17850" not in JsonFormatter().format(record)


@pytest.mark.parametrize(
    ("given", "as_json"),
    [
        ({}, False),
        ({"retail_warehouse_env": "production"}, True),
        ({"log_format": "json"}, True),
        ({"retail_warehouse_env": "production", "log_format": "text"}, False),
    ],
)
def test_logs_are_json_in_production(given, as_json):
    assert Settings(**given).logs_json is as_json


def test_the_shop_is_one_command_and_starts_within_five_seconds(predicted, tmp_path):
    """`make shop`: the predictions are published, the API is started, and all ends together."""
    rules.load(PROJECT)
    folder = tmp_path / "project"
    copy_rules(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {name: text for name, text in os.environ.items() if not name.startswith(("COGNITO", "RETAIL", "LOG_"))}
    given |= {
        "PYTHONPATH": str(PROJECT),
        "WAREHOUSE_PATH": str(predicted.warehouse),
        "PREDICTIONS_DATA": str(predicted.predictions),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "retail_warehouse", "shop", "--no-browser", "--port", str(port)]
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        shop = subprocess.Popen(command, cwd=folder, env=given, stdout=file, stderr=file)
    try:
        wait_until(lambda: shop.poll() is not None or "#token=" in output.read_text(), 60)
        said = output.read_text()
        [address] = re.findall(r"http://\S+", said)
        assert "90 users can be looked up" in said
        [api] = psutil.Process(shop.pid).children()
        # What a quiet machine takes; a busy one may let it wait.
        assert sum(api.cpu_times()[:2]) < 5
        url, _, token = address.partition("/shop#token=")
        page = requests.get(f"{url}/shop", timeout=5)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{url}/users/1/next-order", headers=headers, timeout=5).json()["user_id"] == 1
        assert (
            requests.get(f"{url}/transactions?InvoiceNo=1&StockCode=1", headers=headers, timeout=5).status_code == 403
        )
    finally:
        shop.send_signal(signal.SIGTERM)
        shop.wait(30)
    wait_until(lambda: not api.is_running() or api.status() == psutil.STATUS_ZOMBIE, 10)
    refused = subprocess.run(
        command, cwd=folder, env=given | {"RETAIL_WAREHOUSE_ENV": "production"}, capture_output=True
    )
    assert b"the shop page is for development" in refused.stderr


def test_the_page_is_not_served_where_it_is_not_wanted(served):
    app = create_app(
        lambda: None, FakeStore(), FakeVerifier(), docs=False, further=[predictions_routes(served.published, False)]
    )
    assert TestClient(app).get("/shop").status_code == 404

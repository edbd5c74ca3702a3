"""The API: what it answers is landed for good, exactly once, whatever fails; and what it is sent leaves no trace."""

import gzip
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import requests
import schemathesis
from conftest import PROJECT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from shared.api_server import GOOD, Client, Process, Server, landed, landed_ids, row, statuses, wait_until

from retail_warehouse.errors import DataError
from retail_warehouse.serving import bodies, connections, keys, lookups_api, service
from retail_warehouse.serving.connections import Connections
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import Delivery, StoreError
from retail_warehouse.serving.tokens import READ, WRITE, LocalIssuer, Verifier
from retail_warehouse.streaming import intake as intake_module
from retail_warehouse.streaming import landing_folder, rules
from retail_warehouse.streaming.landing_folder import LandingError, LandingFolder
from retail_warehouse.streaming.rows import Row
from retail_warehouse.streaming.rules import Event, Rules

DUPLICATE_KEY = "event_id was received before with another content"


@pytest.fixture(scope="session", autouse=True)  # processes copy what it leaves in the project
def compiled() -> dict:
    return rules.load(PROJECT)


@pytest.fixture(scope="session")
def judge(compiled) -> Rules:
    """For one API at a time."""
    return Rules(compiled)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory) -> LocalIssuer:
    return LocalIssuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def serve(tmp_path, judge, issuer):
    """Starts APIs on the test's folder, one after the other unless they get rules of their own."""
    started: list[Server] = []

    def start(own_rules: Rules | None = None, **options) -> Server:
        started.append(Server(tmp_path, own_rules or judge, issuer, **options))
        return started[-1]

    yield start
    for server in started:
        with suppress(sqlite3.ProgrammingError, LandingError):
            server.close()


@pytest.fixture
def api(serve) -> Server:
    return serve()


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


AWAY = (503, "5", '{"detail":"Try again later"}')


# Verdicts


def test_each_row_is_accepted_a_duplicate_or_rejected(api):
    answer = api.post([row(2), row(3, Quantity="1.5"), row(2), row(2, Quantity="7"), row(3, Quantity="1.5")])
    assert answer.json() == {
        "accepted": 1,
        "duplicate": 1,
        "rejected": 3,
        "rows": [
            {"event_id": "till:2", "status": "accepted", "reason": None, "detail": None},
            {
                "event_id": "till:3",
                "status": "rejected",
                "reason": "unreadable_value",
                "detail": "quantity = '1.5'",
            },
            {"event_id": "till:2", "status": "duplicate", "reason": None, "detail": None},
            {"event_id": "till:2", "status": "rejected", "reason": "duplicate_key", "detail": DUPLICATE_KEY},
            {
                "event_id": "till:3",
                "status": "rejected",
                "reason": "unreadable_value",
                "detail": "quantity = '1.5'",
            },
        ],
    }
    assert answer.headers["Content-Type"] == "application/json"
    assert statuses(api.post(row(2))) == ["duplicate"]
    assert statuses(api.post(row(4))) == ["accepted"]
    [contradiction] = api.post(row(2, Country="France")).json()["rows"]
    assert (contradiction["status"], contradiction["detail"]) == ("rejected", DUPLICATE_KEY)
    assert statuses(api.post(row(2))) == ["duplicate"], "the first stays"
    assert api.pair().json()["line_count"] == 2
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3", "till:4"]


def test_a_row_that_was_received_before_is_judged_as_it_is_after_one_that_contradicts_it(api):
    api.post([row(2), row(3, Quantity="x")])
    answer = api.post([row(2, Quantity="y"), row(2), row(3), row(3, Quantity="x")]).json()["rows"]
    assert [(result["status"], result["detail"]) for result in answer] == [
        ("rejected", DUPLICATE_KEY),
        ("duplicate", None),
        ("rejected", DUPLICATE_KEY),
        ("rejected", "quantity = 'x'"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"InvoiceNo": "B1"}, "unreadable_value", "invoice_no = 'B1'"),
        ({"Quantity": "6.5"}, "unreadable_value", "quantity = '6.5'"),
        ({"InvoiceDate": "2/30/2010 8:26"}, "unreadable_value", "invoiced_at = '2/30/2010 8:26'"),
        ({"UnitPrice": "2,55"}, "unreadable_value", "unit_price = '2,55'"),
        ({"CustomerID": "nobody"}, "unreadable_value", "customer_id = 'nobody'"),
        ({"InvoiceNo": None}, "missing_key", "invoice_no is empty"),
        ({"StockCode": " "}, "missing_key", "stock_code is empty"),
        ({"Quantity": "1000001"}, "out_of_domain", "quantity = '1000001'"),
        ({"Quantity": ""}, "out_of_domain", "quantity is empty"),
        ({"InvoiceDate": "12/1/1910 8:26"}, "out_of_domain", "invoiced_at = '12/1/1910 8:26'"),
        ({"InvoiceDate": None}, "out_of_domain", "invoiced_at is empty"),
        ({"UnitPrice": "1000000.001"}, "out_of_domain", "unit_price = '1000000.001'"),
        ({"StockCode": "x" * 51}, "out_of_domain", "stock_code = '" + "X" * 51 + "'"),
        ({"Description": "x" * 1001}, "out_of_domain", "description = '" + "x" * 100 + "'"),
        ({"Country": "x" * 101}, "out_of_domain", "country = '" + "x" * 100 + "'"),
        ({"raw_record": "536365,85123A,six"}, "wrong_field_count", "3 fields, the header has 8"),
        (
            {"raw_record": '536365,"85123A'},
            "broken_quote",
            "a double quote is not closed, or stands inside an unquoted field",
        ),
        ({"raw_record": ""}, "wrong_field_count", "1 fields, the header has 8"),
    ],
)
def test_every_reason_of_the_rules_is_told_and_the_row_landed(api, changes, reason, detail):
    sent = {"event_id": "till:2", **changes} if "raw_record" in changes else row(2, **changes)
    assert api.post([sent, row(3)]).json()["rows"] == [
        {"event_id": "till:2", "status": "rejected", "reason": reason, "detail": detail},
        {"event_id": "till:3", "status": "accepted", "reason": None, "detail": None},
    ]
    assert api.pair().json()["line_count"] == 1, "a rejected row is not found"
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3"], "dbt lists it in audit.rejected_rows"


def test_a_line_is_what_it_would_be_in_a_file(api):
    description = 'A "small", white\t; \x00 ☃ 😀 é'
    line = '536365,85123A,"A ""small"", white\t; \x00 ☃ 😀 é",6,12/1/2010 8:26,2.55,17850,United Kingdom'
    assert statuses(api.post(row(2, Description=description))) == ["accepted"]
    assert statuses(api.post({"event_id": "till:2", "raw_record": line})) == ["duplicate"]
    assert statuses(api.post({"event_id": "till:3", "raw_record": line})) == ["accepted"]
    nothing = {"event_id": "till:4", **dict.fromkeys(GOOD)}
    assert statuses(api.post(nothing)) == ["rejected"]
    assert statuses(api.post(nothing | {"InvoiceNo": ""})) == ["rejected"]
    found = api.pair().json()["lines"]
    assert [one["description"] for one in found] == [description, description]
    api.close()
    [events] = landed(api.folder).values()
    assert [event["line"] for event in events] == [line, line, ",,,,,,,"]
    read = duckdb.execute(
        "select line from read_json($1, format = 'newline_delimited', columns = {'line': 'VARCHAR'})",
        [f"{api.folder}/day=*/*.ndjson"],
    ).fetchall()
    assert read == [(line,), (line,), (",,,,,,,",)], "dbt reads the same"


def test_the_longest_lines_are_read_by_dbt(api):
    # Twelve bytes each, escaped; and quotes, which are doubled.
    assert statuses(api.post({"event_id": "till:2", "raw_record": "😀" * 1_000_000})) == ["rejected"]
    assert statuses(api.post({"event_id": "till:3", "raw_record": '"' * 1_000_000})) == ["rejected"]
    assert statuses(api.post(row(4, **dict.fromkeys(GOOD, '"' * 100_000)))) == ["rejected"]
    refused = api.post({"event_id": "till:5", "raw_record": "x" * 1_000_001})
    assert refused.status_code == 422
    assert refused.json()["detail"] == [
        {"loc": ["body", "raw_record"], "msg": "String should have at most 1000000 characters"}
    ]
    assert api.post(row(5, Country="x" * 100_001)).status_code == 422
    api.close()
    read = duckdb.execute(
        "select count(*) from read_json($1, format = 'newline_delimited', columns = {'line': 'VARCHAR'})",
        [f"{api.folder}/day=*/*.ndjson"],
    ).fetchone()
    assert read == (3,)


COLUMNS = "event_id, InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"
UNKNOWN = f"Unknown column; the columns are {COLUMNS}"


def lacking(column: str) -> dict:
    return {name: text for name, text in row().items() if name != column}


@pytest.mark.parametrize(
    ("sent", "place", "message"),
    [
        (row(Discount="1"), ["Discount"], UNKNOWN),
        (row(columns="1"), ["columns"], UNKNOWN),
        ([row(2), row(3, line="1")], [1, "line"], UNKNOWN),
        ({"event_id": "a:2", "raw_record": "x", "Country": "x"}, ["Country"], UNKNOWN),
        (lacking("Country"), ["Country"], "Field required"),
        ([row(2), lacking("event_id")], [1, "event_id"], "Field required"),
        (row(event_id=None), ["event_id"], "Input should be a valid string"),
        (row(Quantity=6), ["Quantity"], "Input should be a valid string"),
        (row(Quantity=True), ["Quantity"], "Input should be a valid string"),
        (row(Quantity=["6"]), ["Quantity"], "Input should be a valid string"),
        (row(Description="a\nb"), ["Description"], "String should match pattern"),
        (row(Description="a\r"), ["Description"], "String should match pattern"),
        ({"event_id": "a:2", "raw_record": "x\n"}, ["raw_record"], "String should match pattern"),
        ({"event_id": "a:2", "raw_record": None}, ["raw_record"], "Input should be a valid string"),
        *((row(event_id=bad), ["event_id"], "String should match pattern") for bad in ("a", "a:1", "a:02", ":2", "a:")),
        *((row(event_id=bad), ["event_id"], "String should match") for bad in ("a\n:2", "a:2\n", "\x00:2", "a:٣")),
        (row(event_id="a" * 249 + ":2"), ["event_id"], "String should have at most 250 characters"),
        ([], [], "List should have at least 1 item after validation, not 0"),
        ([row()] * 10_001, [], "More than 10,000 rows, or no rows"),
        ([{"event_id": "a:2"}] * 10_001, [], "List should have at most 10000 items after validation, not 10001"),
        ([1], [0], "Input should be a valid dictionary"),
        ("536365", [], "Input should be a valid dictionary"),
        (None, [], "Input should be a valid dictionary"),
        (b"", [], "Invalid JSON: "),
        (b"536365,85123A", [], "Invalid JSON: "),
        (b'{"event_id": "till:2"', [], "Invalid JSON: "),
        (b"[" * 2_000, [], "Invalid JSON: depth limit"),
        (b"[" * 100_000, [], "More than 10,000 rows, or no rows"),
        (b'{"a":' * 100_000, [], "More than 10,000 rows, or no rows"),
        (b'{"event_id": "\\ud800:2"}', [], "Invalid JSON: no low surrogate"),
        (b'{"event_id": "\xed\xa0\x80:2"}', [], "Invalid JSON: str is not valid UTF-8"),
        (b"NaN", [], "Invalid JSON: "),
        (b"9" * 5_000, [], "Invalid JSON: "),
        (json.dumps([row()]).encode("utf-16"), [], "Invalid JSON: "),
    ],
)
def test_what_makes_no_sense_is_refused_as_a_whole_and_nothing_stops(api, sent, place, message):
    answer = api.post(sent)
    assert answer.status_code == 422, answer.text
    [problem, *_] = [one for one in answer.json()["detail"] if one["loc"] == ["body", *place]]
    assert problem["msg"].startswith(message)
    assert "85123A" not in answer.text, "a value is not told"
    assert statuses(api.post(row(9))) == ["accepted"]
    api.close()
    assert landed_ids(api.folder) == ["till:9"]


TWICE = "This key stands twice in one row"


def test_a_key_that_stands_twice_in_a_row_is_refused(api):
    good, other = json.dumps(row(2))[:-1].encode(), json.dumps(row(3)).encode()
    escaped = json.dumps(row(4, Description='\\" \\\\ "x": "y\\" \\\\" ☃')).encode()
    for sent, places in (
        (good + b', "Quantity": "60"}', [["Quantity"]]),
        (good + b', "Quantity": "6"}', [["Quantity"]]),
        (good + b', "Quantit\\u0079": "60"}', [["Quantity"]]),
        (good + b', "Quantity": null}', [["Quantity"]]),
        (b"\n [" + other + b"," + good + b', "event_id": "till:9"}]', [[1, "event_id"]]),
        (b"[" + escaped + b"," + good + b', "Country": "", "Country": "", "InvoiceNo": "1"}]', [[1, "Country"]] * 2),
        (b'{"event_id": "a:2", "raw_record": "x", "raw_record": "\\\\"}', [["raw_record"]]),
    ):
        answer = api.post(sent)
        assert answer.status_code == 422, sent
        told = answer.json()["detail"]
        assert [one["loc"] for one in told][: len(places)] == [["body", *place] for place in places]
        assert {one["msg"] for one in told} == {TWICE}
    assert api.get("/transactions?InvoiceNo=536365&StockCode=85123A", InvoiceNo="1").status_code == 422
    assert statuses(api.post(b"[" + other + b",\n\t" + escaped + b"]")) == ["accepted"] * 2
    assert statuses(api.post({"event_id": "a:2", "raw_record": '"\\'})) == ["rejected"]
    api.close()
    assert landed_ids(api.folder) == ["till:3", "till:4", "a:2"]


@given(
    texts=st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=12), min_size=8, max_size=8),
    is_ascii=st.booleans(),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_strings_are_counted_whatever_they_hold(texts, is_ascii):
    content = [dict(zip(GOOD, texts, strict=True)), {"event_id": '\\"', "raw_record": "\\"}]
    written = json.dumps(content, ensure_ascii=is_ascii).encode()
    assert bodies.strings_written(written) == bodies.strings_in(content)


def test_a_row_of_half_a_million_keys_does_not_hold_up_others(api):
    body = b"[{" + b",".join(b'"k%d":0' % number for number in range(500_000)) + b"}]"
    start = time.monotonic()
    answer = api.post(body)
    assert answer.status_code == 422
    assert time.monotonic() - start < 2


def test_a_list_of_the_largest_size_is_taken(api):
    answer = api.post([row(number) for number in range(2, 10_002)])
    assert answer.json()["accepted"] == 10_000
    assert [result["event_id"] for result in answer.json()["rows"]] == [f"till:{n}" for n in range(2, 10_002)]


def test_what_is_not_said_to_be_json_and_other_methods_are_refused(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "text/csv", ""):
        assert api.post(row(), Content_Type=kind).status_code == 415
    for packed in ("gzip", "br", "deflate", "gzip, identity", ""):
        answer = api.post(gzip.compress(json.dumps(row(7)).encode()), Content_Encoding=packed)
        assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
        assert answer.json() == {"detail": "The body must not be compressed"}
    assert statuses(api.post(row(), Content_Type="Application/JSON; charset=utf-8")) == ["accepted"]
    assert statuses(api.post(row(), Content_Encoding="Identity")) == ["duplicate"]
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
        assert api.session.request(method, f"{api.url}/transactions").status_code == 405
    assert api.get("/nothing").status_code == 404
    assert api.of(None).get("/ready").json() == {"detail": "ok", "landing": api.intake.landing_identity}


# Look-ups


def test_a_transaction_is_a_list_of_lines_with_an_exact_total(api):
    api.post(
        [
            row(10, Quantity="3", UnitPrice="0.1"),
            row(9, Quantity="1", UnitPrice="0.2", InvoiceNo=" 536365 ", StockCode=" 85123a "),
            row(11, Quantity="-1", UnitPrice="1234.5"),
            row(12, StockCode="other"),
            row(13, InvoiceNo="c536365"),
        ]
    )
    found = api.pair().json()
    lines = found.pop("lines")
    assert found == {
        "invoice_no": "536365",
        "stock_code": "85123A",
        "line_count": 3,
        "quantity": 3,
        "amount": "-1234.000",
        "next_cursor": None,
    }
    assert [one["invoice_line_id"] for one in lines] == ["till:9", "till:10", "till:11"]
    assert sum(Decimal(one["line_amount"]) for one in lines) == Decimal("-1234")
    assert lines[1] == {
        "invoice_line_id": "till:10",
        "transaction_type": "sale",
        "description": "WHITE HANGING HEART T-LIGHT HOLDER",
        "quantity": 3,
        "unit_price": "0.100",
        "line_amount": "0.300",
        "customer_id": "17850",
        "country": "United Kingdom",
        "invoiced_at": "2010-12-01 08:26:00",
    }
    assert api.pair(" 536365 ", " 85123a ").json()["lines"] == lines
    assert api.pair("c536365").json()["lines"][0]["transaction_type"] == "cancellation"
    assert api.pair("536365", "OTHER").json()["line_count"] == 1


def test_a_customers_invoices(api):
    api.post(
        [
            row(2, InvoiceNo="2", InvoiceDate="12/2/2010 8:26"),
            row(3, InvoiceNo="1", InvoiceDate="12/3/2010 8:26", CustomerID="17850.0"),
            row(4, InvoiceNo="2", InvoiceDate="12/2/2010 8:20", Quantity="-1"),
            row(5, InvoiceNo="3", CustomerID=""),
            row(6, InvoiceNo="4", CustomerID="1"),
        ]
    )
    assert api.get("/customers/17850/invoices").json() == {
        "customer_id": "17850",
        "invoice_count": 2,
        "next_cursor": None,
        "invoices": [
            {
                "invoice_no": "2",
                "invoiced_at": "2010-12-02 08:20:00",
                "line_count": 2,
                "quantity": 5,
                "amount": "12.750",
            },
            {
                "invoice_no": "1",
                "invoiced_at": "2010-12-03 08:26:00",
                "line_count": 1,
                "quantity": 6,
                "amount": "15.300",
            },
        ],
    }


PAIR = {"InvoiceNo": "536365", "StockCode": "85123A"}


def pages(api: Client, path: str, parameters: dict) -> list[dict]:
    """All pages of an answer."""
    found = [api.get(path, **parameters).json()]
    while cursor := found[-1]["next_cursor"]:
        found.append(api.get(path, **parameters, cursor=cursor).json())
    return found


def test_long_answers_come_in_pages(api):
    rows = [row(at, InvoiceNo=str(at % 250), Quantity=str(at)) for at in range(2, 700)]
    api.post([*rows, *(row(at, "other", UnitPrice="0.001") for at in range(2, 703))])
    for limit, count in ((None, 8), ("700", 2), ("701", 1), ("1000", 1)):
        found = pages(api, "/transactions", PAIR | ({"limit": limit} if limit else {}))
        assert len(found) == count
        assert [one["invoice_line_id"] for page in found for one in page["lines"]] == [
            f"other:{at}" for at in range(2, 703)
        ]
        assert {(page["line_count"], page["quantity"], page["amount"]) for page in found} == {(701, 4206, "4.206")}
        found = pages(api, "/customers/17850/invoices", {"limit": limit} if limit else {})
        numbers = [one["invoice_no"] for page in found for one in page["invoices"]]
        assert numbers == sorted({*(one["InvoiceNo"] for one in rows), "536365"})
        assert {page["invoice_count"] for page in found} == {251}
    beyond = api.get("/transactions", **PAIR, cursor="other:702").json()
    assert (beyond["line_count"], beyond["lines"], beyond["next_cursor"]) == (701, [], None)
    assert api.get("/transactions", InvoiceNo="9999", StockCode="85123A", cursor="other:702").status_code == 404
    assert api.get("/customers/1/invoices", cursor="1:1").status_code == 404


def test_a_customer_of_some_hundred_invoices_takes_no_thread_and_one_of_more_does(api, monkeypatch):
    used = []
    count = api.store.invoice_count

    def counted(customer_id, most=None):
        used.append(threading.current_thread() is api._thread)
        return count(customer_id, most)

    monkeypatch.setattr(api.store, "invoice_count", counted)
    api.post([row(at, InvoiceNo=str(at)) for at in range(2, 202)])
    assert api.get("/customers/17850/invoices").json()["invoice_count"] == 200
    assert used == [True]
    monkeypatch.setattr(lookups_api, "MOST_OF_PAGE", 150)
    assert api.get("/customers/17850/invoices").json()["invoice_count"] == 200
    assert used == [True, True, False]


def test_nobody_waits_for_long_answers(api, monkeypatch):
    """Neither for their totals, nor for their lines."""
    api.post([row(at) for at in range(2, 600)])
    api.post(row(2, "other", InvoiceNo="1"))
    go, asked = threading.Event(), []
    for name in ("total", "lines"):
        real = getattr(api.store, name)

        def slow(*arguments, real=real):
            if arguments[0] == "536365" and threading.current_thread() is not api._thread:
                asked.append(arguments)
                assert go.wait(20)
            return real(*arguments)

        monkeypatch.setattr(api.store, name, slow)
    with ThreadPoolExecutor(60) as pool:
        # With a cursor, and with a limit that is no short one.
        waiting = [pool.submit(api.another().get, "/transactions", **PAIR, cursor="till:2") for _ in range(30)]
        waiting += [pool.submit(api.another().get, "/transactions", **PAIR, limit="900") for _ in range(30)]
        wait_until(lambda: len(asked) == 2)
        for _ in range(5):
            start = time.monotonic()
            assert api.pair("1").status_code == 200
            assert statuses(api.post(row(2))) == ["duplicate"]
            assert time.monotonic() - start < 2
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {200}


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("/transactions", {"InvoiceNo": "536365", "StockCode": "OTHER"}, 404),
        ("/transactions", {"InvoiceNo": "1", "StockCode": "85123A"}, 404),
        ("/transactions", {"InvoiceNo": "536365", "StockCode": " "}, 422),
        ("/transactions", {"InvoiceNo": "536365", "StockCode": "85123A' or 1=1 --"}, 404),
        ("/transactions", {"InvoiceNo": "536365"}, 422),
        ("/transactions", {"StockCode": "85123A"}, 422),
        ("/transactions", {}, 422),
        ("/transactions", {"InvoiceNo": "", "StockCode": "85123A"}, 422),
        ("/transactions", {"InvoiceNo": "B536365", "StockCode": "85123A"}, 422),
        ("/transactions", {"InvoiceNo": "536365\n", "StockCode": "85123A"}, 422),
        ("/transactions", {"InvoiceNo": "٣", "StockCode": "85123A"}, 422),
        ("/transactions", {"InvoiceNo": "9" * 20, "StockCode": "85123A"}, 422),
        ("/transactions", {"InvoiceNo": "536365", "StockCode": ""}, 422),
        ("/transactions", {"InvoiceNo": "536365", "StockCode": "\x00"}, 422),
        ("/transactions", {"InvoiceNo": "536365", "StockCode": "x" * 51}, 422),
        *(("/transactions", PAIR | {"limit": bad}, 422) for bad in ("0", "1001", "", "1.0", "٣", "-1")),
        *(("/transactions", PAIR | {"cursor": bad}, 422) for bad in ("", "till", "till:x", ":2", "a\n:2", "x" * 1001)),
        *(("/customers/1/invoices", {"cursor": bad}, 422) for bad in ("", "x:1", "9" * 18 + ":1", "1:", "1")),
        ("/customers/1/invoices", {}, 404),
        ("/customers/Unknown/invoices", {}, 422),
        ("/customers/-1/invoices", {}, 404),
        ("/customers/%00/invoices", {}, 422),
        ("/customers/%ED%A0%80/invoices", {}, 422),
        ("/customers/" + "9" * 20 + "/invoices", {}, 422),
    ],
)
def test_none_is_404_and_nonsense_422(api, path, parameters, status):
    api.post([row(), row(3, CustomerID="")])
    answer = api.get(path, **parameters)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert detail if status == 404 else {tuple(one) for one in detail} == {("loc", "msg")}


def test_upper_case_is_what_the_rules_make_of_it(api):
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    upper = duckdb.execute("select upper(unnest($1::varchar[]))", [characters]).fetchall()
    assert [keys._upper(character) for character in characters] == [text for (text,) in upper]
    api.post(row(StockCode="straße ﬁ"))
    assert api.pair(stock_code="straße ﬁ").json()["stock_code"] == "STRAẞE ﬁ"


def test_a_key_is_looked_up_in_any_spelling(api):
    """One rule for rows and look-ups: what nobody sees, `.0`, case, and how a number is written."""
    codes = ["22222", "22222.0", "22222.00", " 22222 ", "\u00a022222", "22\u200b222", "\ufeff22222", "22222\u3000"]
    codes += ["\uff12\uff12222", "22222\u202e\u0085", "22222\uff0e0", "\u206622222\u2069"]
    invoices = ["700001", "700001.0", " 700001 "]
    customers = ["7", "007", "7.0", "+7", " 7", "7\u00a0", "\uff17", "+7.00"]
    sent = 0
    for code, invoice, customer in zip(codes, invoices * 4, customers * 2, strict=False):
        sent += 1
        answer = api.post(row(sent + 1, StockCode=code, InvoiceNo=invoice, CustomerID=customer)).json()
        assert answer["accepted"] == 1, answer
    for code in codes:
        for invoice in invoices:
            assert api.pair(invoice_no=invoice, stock_code=code).json()["line_count"] == sent, (invoice, code)
    for customer in customers:
        assert api.get(f"/customers/{customer}/invoices").json()["customer_id"] == "7"
    assert api.post(row(90, CustomerID="-5")).json()["accepted"] == 1
    assert api.get("/customers/-05.0/invoices").status_code == 200
    for number, value in enumerate(("22222\t", "\t22222", "22\x00222", "22\x7f222", "22\x80222", "22222\x9f"), 91):
        answer = api.post(row(number, StockCode=value)).json()
        assert answer["rows"][0]["reason"] == "unreadable_value", answer
        assert api.pair(stock_code=value).status_code == 422


def test_look_ups_clean_a_key_as_the_rules_do():
    """Character by character, each that is not seen, a blank, or of full width."""
    macro = (PROJECT / "macros/staging/visible_text.sql").read_text()
    in_macro = {
        name: "".join(re.findall(r"'([^']*)'", text)).encode().decode("unicode_escape")
        for name, text in re.findall(r"set (\w+) = (.*?) %}", macro, re.DOTALL)
    }
    assert in_macro == {"spaces": keys.SPACES, "unseen": keys.UNSEEN, "wide": keys.WIDE, "narrow": keys.NARROW}
    assert keys.clean_key(keys.SPACES + "a" + keys.UNSEEN + keys.WIDE) == "A" + keys.NARROW.upper()


def test_a_row_can_be_looked_up_as_soon_as_it_is_accepted(api):
    for number in range(2, 22):
        assert statuses(api.post(row(number))) == ["accepted"]
        assert api.pair().json()["line_count"] == number - 1
        assert api.get("/customers/17850/invoices").json()["invoices"][0]["line_count"] == number - 1


# What was loaded in bulk


@pytest.fixture
def loaded(api, judge) -> Server:
    """An API whose store knows a file of four rows, of which one cannot be accepted."""
    rows = [row(2, "data.csv.gz"), row(3, "data.csv.gz"), row(5, "data.csv.gz", Description=None)]
    lines = judge.judge([Row(**one).event() for one in rows]).values()
    api.store.put(lines)
    api.store.set_delivery(Delivery("data.csv.gz", 5, "1"))
    return api


def test_a_streamed_line_never_takes_the_place_of_one_that_was_loaded_in_bulk(loaded):
    before = loaded.pair().json()
    for delivery in ("data.csv.gz", "data.csv", "data.csv.GZ"):
        forged = [row(2, delivery, Quantity="60"), row(3, delivery, InvoiceNo="1"), row(4, delivery)]
        answer = loaded.post(
            [*forged, row(5, delivery, Quantity="x"), {"event_id": f"{delivery}:2", "raw_record": "x"}]
        )
        assert [(one["status"], one["reason"]) for one in answer.json()["rows"]] == [
            *[("rejected", "duplicate_key")] * 3,
            ("rejected", "unreadable_value"),
            ("rejected", "wrong_field_count"),
        ]
        assert "stands in a file" in answer.json()["rows"][0]["detail"]
        # The same line is a duplicate, whatever else is said of its place in the same request.
        same = [row(2, delivery, Quantity="60"), row(2, delivery, UnitPrice="2.550"), row(5, delivery, Description="")]
        assert statuses(loaded.post(same)) == ["rejected", "duplicate", "duplicate"]
    assert loaded.pair().json() == before
    assert loaded.pair("1").status_code == 404
    others = [row(6, "data.csv.gz"), row(2, "data.csv.gz.gz"), row(2, "other.csv")]
    assert statuses(loaded.post(others)) == ["accepted"] * 3
    loaded.close()
    assert landed_ids(loaded.folder) == ["data.csv.gz:6", "data.csv.gz.gz:2", "other.csv:2"]


def test_a_line_that_was_streamed_before_its_file_came_is_judged_by_the_file(loaded):
    assert statuses(loaded.post([row(2), row(3)])) == ["accepted"] * 2
    [streamed] = loaded.store.lines("536365", "85123A", 1, "data.csv.gz:5")
    loaded.store.set_delivery(Delivery("till", 3, "1"))
    loaded.store.put([replace(streamed, quantity=7, line_amount=Decimal("17.850"))])
    sent = [row(2), row(2, Quantity="7"), row(3), row(4)]
    assert statuses(loaded.post(sent)) == ["rejected", "duplicate", "duplicate", "accepted"]


def test_rows_of_a_file_that_is_being_published_have_to_wait_and_no_others(loaded):
    loaded.store.set_delivery(Delivery("data.csv.gz", 5, ""))
    assert answers(lambda: loaded.post([row(2), row(4, "data.csv")])) == AWAY
    assert loaded.pair().json()["line_count"] == 3, "nothing of the request was taken"
    with ThreadPoolExecutor(8) as pool:
        asked = [[row(4, "data.csv")] if at % 2 else [row(at + 10, "till")] for at in range(8)]
        got = list(pool.map(lambda rows: loaded.another().post(rows).status_code, asked))
    assert got == [200, 503] * 4
    assert statuses(loaded.post([row(2, "data.csv")])) == ["duplicate"], "what is there already is known"


# Tokens and limits


def test_without_a_good_token_nothing_is_told(api, issuer, tmp_path):
    expired = issuer.token([READ, WRITE], hours=-1)
    other = LocalIssuer(tmp_path / "other").token([READ, WRITE])
    head, claims, signature = issuer.token([READ, WRITE]).split(".")
    flipped = "A" if signature[10] != "A" else "B"
    bad = [None, "", "garbage", "ä", expired, other, f"{head}.{claims}.{signature[:10]}{flipped}{signature[11:]}"]
    bad += [f"{head}.{claims}.", f"eyJhbGciOiJub25lIn0.{claims}.", "x" * 20_000]
    answers = set()
    for token in bad:
        if token == "ä":
            client = api.of(None)
            client.session.headers["Authorization"] = "Bearer ä".encode()
        else:
            client = api.of(token)
        got = [
            client.pair(),
            client.get("/transactions"),
            client.get("/customers/x/invoices"),
            client.post(row()),
            client.post(b"nonsense", Content_Type="text/plain"),
        ]
        for answer in got:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            answers.add((answer.status_code, answer.text))
    assert answers == {(401, '{"detail":"No valid token"}')}
    client = api.of(None)
    client.session.headers["Authorization"] = f"Basic {issuer.token([READ])}"
    assert client.pair().status_code == 401
    assert client.get("/transactions", access_token=issuer.token([READ])).status_code == 401
    api.close()
    assert landed_ids(api.folder) == []


def test_each_use_needs_its_scope(api, issuer):
    reader, writer = api.of(issuer.token([READ])), api.of(issuer.token([WRITE]))
    neither = api.of(issuer.token(["transactions/delete"]))
    assert statuses(writer.post(row())) == ["accepted"]
    assert reader.pair().status_code == 200
    assert reader.get("/customers/17850/invoices").status_code == 200
    refused = [reader.post(row(3)), writer.pair(), writer.get("/customers/17850/invoices")]
    refused += [neither.post(row(3)), neither.pair(), neither.get("/customers/17850/invoices")]
    assert {(answer.status_code, answer.text) for answer in refused} == {(403, '{"detail":"Not allowed"}')}


def test_a_token_that_expires_is_not_taken_any_more(serve, issuer, monkeypatch):
    api = serve()
    assert api.pair().status_code == 404
    late = time.time() + 3_700
    monkeypatch.setattr(issuer, "_clock", lambda: late)
    verifier = issuer.verifier()
    monkeypatch.setattr(issuer, "_clock", time.time)
    with pytest.raises(Exception, match="expired"):
        verifier.verify(issuer.token([READ]))
    short = issuer.token([READ], hours=-9.2 / 3_600)  # with the leeway of ten seconds, it has a good second
    client = api.of(short)
    assert client.pair().status_code == 404
    wait_until(lambda: client.pair().status_code == 401, 4)


def test_a_token_that_was_found_good_takes_no_thread(api, monkeypatch):
    assert api.pair().status_code == 404
    monkeypatch.setattr(Verifier, "verify", lambda self, token: pytest.fail("it is verified again"))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: api.another().pair().status_code, range(8))) == {404}


def test_too_many_requests_are_refused_per_use_and_caller(serve, issuer):
    api = serve(lookups=1, posts=1)
    looked = [api.pair() for _ in range(16)]
    # Ten in ten seconds; one or two more where a part of the ten has passed.
    assert [answer.status_code for answer in looked[:10]] == [404] * 10
    assert looked[-1].headers["Retry-After"] == "1"
    assert (looked[-1].status_code, looked[-1].json()) == (429, {"detail": "Too many requests"})
    sent = [api.post(row(number)) for number in range(2, 18)]
    assert [answer.status_code for answer in sent[:10]] == [200] * 10
    assert sent[-1].status_code == 429
    assert api.of(issuer.token([READ], subject="another")).pair().status_code == 200
    api.close()
    assert len(landed_ids(api.folder)) == sum(answer.ok for answer in sent) < 16


def test_too_many_bad_tokens_are_refused_and_no_good_one_with_them(api, issuer):
    nobody = api.of("garbage")
    answers = [nobody.pair() for _ in range(115)]
    assert [answer.status_code for answer in answers[:100]] == [401] * 100
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "10")
    for _ in range(3):
        fresh = api.of(issuer.token([READ]))
        assert fresh.pair().status_code == 404, "a token that was never seen, from the same address"
    assert nobody.pair().status_code == 429


def test_threads_that_wait_for_the_issuer_hold_up_no_other_token(api, issuer, monkeypatch):
    go, verify, may_wait = threading.Event(), Verifier.verify, Verifier.may_wait

    def slow(self, token):
        if token == "unknown":
            assert go.wait(20)
        return verify(self, token)

    monkeypatch.setattr(Verifier, "verify", slow)
    monkeypatch.setattr(Verifier, "may_wait", lambda self, token: token == "unknown" or may_wait(self, token))
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(api.of("unknown").pair) for _ in range(50)]
        for _ in range(3):
            start = time.monotonic()
            assert api.of(issuer.token([READ])).pair().status_code == 404
            assert time.monotonic() - start < 2
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {401}


def test_more_events_than_may_wait_are_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(intake_module, "MOST_WAITING_EVENTS", 50)
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    with ThreadPoolExecutor(2) as pool:
        # The first is at the store, the second waits, the third has no place.
        sent = []
        for part in range(2):
            rows = [row(number, f"till-{part}") for number in range(2, 27)]
            sent.append(pool.submit(api.another().post, rows))
            wait_until(lambda part=part: api.intake._waiting == 25 * (part + 1))
        assert answers(lambda: api.post(row(2))) == (503, "1", '{"detail":"Try again later"}')
        store.go.set()
        assert [one.result().json()["accepted"] for one in sent] == [25, 25]
    assert statuses(api.post(row(2))) == ["accepted"]


# Bodies and connections


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_body_that_says_it_is_too_large_is_not_read(api):
    with api.connection() as connection:
        connection.sendall(api.head(f"Content-Length: {100 << 20}"))
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"More than 8,388,608 bytes" in answer
    assert api.get("/health").ok


LONG = {"event_id": "long:2", "raw_record": "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,UK" + ",x" * 300_000}


def test_of_a_rejected_line_its_beginning_is_kept_with_the_verdict(serve, judge, monkeypatch):
    api = serve()
    answer = api.post([row(2), LONG]).json()["rows"][1]
    assert (answer["reason"], answer["detail"]) == ("wrong_field_count", "300008 fields, the header has 8")
    assert statuses(api.post(LONG | {"raw_record": LONG["raw_record"][:-1]})) == ["rejected"]
    assert api.post(LONG).json()["rows"][0]["detail"] == answer["detail"]
    # What is taken over, or read again for a new index, is what was kept.
    [left] = (api.folder / ".open").iterdir()
    assert left.stat().st_size < 3_000
    content = left.read_bytes()
    api.close()
    for path in api.folder.glob(".index.sqlite*"):
        path.unlink()
    for path in sealed(api.folder):
        path.unlink()
    (api.folder / ".open" / "20261101T000000-1-dead").write_bytes(content)
    api = serve()
    assert api.post(LONG).json()["rows"][0]["detail"] == answer["detail"]
    [contradicted] = api.post(LONG | {"raw_record": LONG["raw_record"][:1_000]}).json()["rows"]
    assert contradicted["detail"] == DUPLICATE_KEY
    assert api.pair().json()["line_count"] == 1
    api.close()
    [_, kept] = landed(api.folder)["20261101T000000-1-dead.ndjson"]
    assert (kept["line"], kept["reason"], kept["detail"]) == (
        *(LONG["raw_record"][:1_000], answer["reason"], answer["detail"]),
    )


def test_rejected_rows_of_a_client_are_limited_and_nobody_elses(serve, issuer):
    api = serve(rejected_megabytes=1)
    other = api.of(issuer.token([WRITE], subject="another"))
    answer, sent = api.post(row(2)), 0
    while answer.status_code == 200:
        assert sent < 4
        answer = api.post([row(at, f"part-{sent}", Quantity="x" * 900) for at in range(2, 502)])
        sent += answer.status_code == 200
    assert (answer.status_code, answer.json()) == (429, {"detail": "Too many rejected rows"})
    assert 0 < int(answer.headers["Retry-After"]) <= 7_200
    assert sent == 2
    assert statuses(other.post([row(4), row(5, Quantity="x")])) == ["accepted", "rejected"]
    assert api.pair().status_code == 200, "and they look up as before"
    assert sum(path.stat().st_size for path in (api.folder / ".open").iterdir()) < 1.5e6


def test_what_was_rejected_before_counts_once(serve):
    api = serve(rejected_megabytes=1)
    for _ in range(30):
        answer = api.post([row(at, Quantity="x" * 900) for at in range(2, 102)])
        assert answer.json()["rejected"] == 100


def test_bodies_that_are_read_at_once_are_limited_by_their_bytes(serve, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BODIES", 3 << 20)
    api = serve()
    with api.connection() as one, api.connection() as two:
        for connection in (one, two):
            connection.sendall(api.head("Content-Length: 2000000") + b"[" + b" " * 1_400_000)
        time.sleep(0.5)
        assert answers(lambda: api.post(b" " * 500_000)) == (503, "1", '{"detail":"Try again later"}')
        assert statuses(api.post(row(2))) == ["accepted"], "a small one has its place"
    wait_until(lambda: api.post(b" " * 500_000).status_code == 422)


def test_more_bytes_than_may_wait_are_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(intake_module, "MOST_WAITING_BYTES", 2 << 20)
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(api.another().post, [row(2), LONG | {"event_id": "long:3"}])
        wait_until(lambda: store.puts == 1)
        second = pool.submit(api.another().post, LONG | {"event_id": "long:4"})
        wait_until(lambda: api.intake._waiting == 3)
        emoji = "536365" + "\U0001f600" * 250_000  # four bytes in memory for each character
        assert answers(lambda: api.post({"event_id": "long:5", "raw_record": emoji})) == (
            *(503, "1", '{"detail":"Try again later"}'),
        )
        store.go.set()
        assert first.result().ok
        assert second.result().ok
    assert api.intake._waiting == api.intake._waiting_bytes == 0
    assert statuses(api.post(LONG)) == ["rejected"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 2_700_000 + b"{}]",
        b"[" + b"[]," * 2_700_000 + b"[]]",
        b'["a"' + b',"a"' * 1_900_000 + b"]",
        b'[{"":0}' + b',{"":0}' * 1_000_000 + b"]",
        b'{"event_id": "a:2", "raw_record": [' + b"{}," * 2_000_000 + b"{}]}",
    ],
    ids=["objects", "lists", "texts", "rows", "inside"],
)
def test_what_would_take_much_memory_is_refused_before_it_is_parsed(api, body, monkeypatch):
    monkeypatch.setattr(bodies.orjson, "loads", lambda _: pytest.fail("it is parsed"))
    answer = api.post(body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == "More than 10,000 rows, or no rows"


def test_nobody_waits_while_a_large_body_is_parsed(api, monkeypatch):
    go, real = threading.Event(), bodies.parse_events
    api.post(row(2))

    def slow(body):
        if len(body) > 200_000:
            assert go.wait(20)
        return real(body)

    monkeypatch.setattr(bodies, "parse_events", slow)
    with ThreadPoolExecutor(3) as pool:
        large = [row(number, Description="x" * 200) for number in range(2, 1_002)]
        waiting = [pool.submit(api.another().post, large) for _ in range(3)]
        time.sleep(0.3)
        for _ in range(3):
            assert api.pair().ok
            assert statuses(api.post(row(2))) == ["duplicate"]
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {200}


def test_braces_in_a_text_are_no_rows(api):
    assert statuses(api.post({"event_id": "a:2", "raw_record": '{["' * 200_000})) == ["rejected"]


def test_a_body_without_an_end_is_cut(api):
    sent = 0
    with api.connection() as connection:
        connection.sendall(api.head("Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        with suppress(ConnectionError):
            while sent < 100 << 20:
                connection.sendall(chunk)
                sent += 65_536
        assert sent < 20 << 20
    assert api.get("/health").ok
    assert statuses(api.post(b" " * (8 << 19) + json.dumps(row()).encode())) == ["accepted"]
    assert api.post(b" " * ((8 << 20) + 1)).status_code == 413


def test_a_slow_body_is_given_up(api, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.4)
    with api.connection() as connection:
        connection.sendall(api.head("Content-Length: 1000"))
        start = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while not stop.wait(0.05):
                    connection.sendall(b"[")

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = answer_of(connection)
        stop.set()
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start < 5
    assert statuses(api.post(row())) == ["accepted"]


def test_a_client_that_goes_away_does_no_harm(api, caplog):
    caplog.set_level(logging.DEBUG)
    body = json.dumps([row(2)]).encode()
    with api.connection() as connection:
        connection.sendall(api.head(f"Content-Length: {len(body)}") + body[:-5])
    with api.connection() as connection:
        connection.sendall(b"GET /transac")
    for number in range(3, 23):
        with api.connection() as connection:  # it does not wait for the answer
            body = json.dumps([row(number)]).encode()
            connection.sendall(api.head(f"Content-Length: {len(body)}") + body)
    wait_until(lambda: statuses(api.post([row(n) for n in range(3, 23)])) == ["duplicate"] * 20)
    assert statuses(api.post(row(2))) == ["accepted"], "half a body is no row"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_heads_have_limits(api, monkeypatch):
    with api.connection() as connection:
        sent = 0
        with suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
            while sent < 50 << 20:
                connection.sendall(b"x" * 65_536)
                sent += 65_536
        assert sent < 10 << 20
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with api.connection() as connection, api.connection() as silent:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\n\r\nGET /health HTTP/1.1\r\n")
        start = time.monotonic()
        for _ in range(10):
            with suppress(ConnectionError):
                connection.sendall(b"X: y\r\n")
            time.sleep(0.1)
        assert answer_of(connection).count(b"200 OK") == 1
        assert answer_of(silent) == b""
        assert time.monotonic() - start < 3
    with api.connection() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\n\r\n")
        time.sleep(0.5)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        assert answer_of(connection).count(b"200 OK") == 2, "one that keeps a connection is not cut"


def open_connections(api: Server) -> int:
    return api.connections._count


@pytest.fixture
def quick(monkeypatch):
    """Limits of time that a test can wait for."""
    for name, seconds in (("HEAD_SECONDS", 0.4), ("REST_SECONDS", 0.3), ("ANSWER_SECONDS", 0.4)):
        monkeypatch.setattr(connections, name, seconds)
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 1)


def test_no_connection_is_held(quick, serve):
    """What nobody ends: no head, half a head, empty lines, a body that is announced and never comes, with a token and
    without, a body that dribbles behind its answer, and requests whose answers nobody takes."""
    api = serve()
    nobody = b"POST /transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    unread = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 10
    kept = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    kinds = [b"", b"GET /health HT", b"\r\n", nobody, nobody + b"x", unread, kept, kept + b"\r\n", kept + b"GET /"]
    kinds += [api.head("Content-Length: 1000000000"), nobody.replace(b"POST", b"GET"), b"nonsense\r\n\r\n"]
    api._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # or the answers would all fit in there
    held = []
    for first in kinds * 5:
        held.append(socket.create_connection(("127.0.0.1", api.port)))
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        held[-1].settimeout(1)
        with suppress(OSError):
            held[-1].sendall(first)
    empty_lines = (b"\r\n", kept + b"\r\n")
    dribbling = {one: b"\r\n" if first in empty_lines else b"x" for one, first in zip(held, kinds * 5, strict=True)}
    dribbling = {one: byte for at, (one, byte) in enumerate(dribbling.items()) if kinds[at % len(kinds)] != unread}
    wait_until(lambda: open_connections(api) > 40)
    start = time.monotonic()
    while open_connections(api) and time.monotonic() - start < 15:
        for one, byte in dribbling.items():
            with suppress(OSError):
                one.send(byte, socket.MSG_DONTWAIT)
        assert api.of(None).get("/health").ok
        time.sleep(0.05)
        api.session.close()
        if open_connections(api) <= 1:
            break
    assert time.monotonic() - start < 10, open_connections(api)
    for one in held:
        one.close()


def test_requests_that_do_not_wait_for_answers_are_few(api):
    with api.connection() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        time.sleep(0.3)
        assert connection.recv(65_536).count(b"HTTP/1.1 200 OK") == 5
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000)
        answer = answer_of(connection)
    assert b"HTTP/1.1 400 " in answer
    assert answer.count(b"HTTP/1.1 200 OK") <= connections.MOST_PIPELINED + 1


def test_a_body_behind_its_answer_may_still_come(quick, serve):
    api = serve()
    with api.connection() as connection:
        for _ in range(3):
            connection.sendall(b"POST /transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
            assert connection.recv(10_000).startswith(b"HTTP/1.1 401")
            time.sleep(0.1)
            connection.sendall(b"[{}]")
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_one_address_does_not_get_all_connections(serve, monkeypatch):
    monkeypatch.setattr(connections, "MOST_OF_ADDRESS", 20)
    api = serve()
    api.connections._most = 30
    held = [socket.create_connection(("127.0.0.1", api.port), source_address=("127.0.0.2", 0)) for _ in range(100)]
    wait_until(lambda: open_connections(api) == 20)
    held += [socket.create_connection(("127.0.0.1", api.port), source_address=("127.0.0.3", 0)) for _ in range(100)]
    wait_until(lambda: open_connections(api) == 30)
    for _ in range(5):
        assert Client(api.url, None).get("/health").ok, "those of the address with the most make room"
    assert open_connections(api) <= 30
    for one in held:
        one.close()
    wait_until(lambda: open_connections(api) < 10)


def test_addresses_are_told_apart_and_proxies_named():
    class Fake:
        address = None
        is_idle = True
        timeout_keep_alive = 30

        def end(self) -> None:
            ended.append(self.address)

    ended: list[str] = []

    def admitted(limits: Connections, *peers: str) -> list[bool]:
        return [limits.admit(Fake(), peer) for peer in peers]

    limits = Connections(100, 2, ["10.0.0.0/8", "fd00::1"])
    assert admitted(limits, "1.2.3.4", "1.2.3.4", "1.2.3.4", "::ffff:1.2.3.4", "1.2.3.5") == [
        *(True, True, False, False, True)
    ]
    assert admitted(limits, "2001:db8::1", "2001:db8::ffff:1", "2001:db8::2%eth0", "2001:db8:0:1::1") == [
        *(True, True, False, True)
    ]
    assert admitted(limits, *["10.1.2.3"] * 5, *["fd00::1"] * 3, "fd00::2", "") == [True] * 10
    limits = Connections(8, 4, ["10.0.0.0/8"])
    balanced = Fake()
    assert limits.admit(balanced, "10.0.0.1")
    assert balanced.timeout_keep_alive == 120
    assert admitted(limits, *["10.0.0.1"] * 4, *["1.2.3.4"] * 3, "1.2.3.4", "1.2.3.5", "10.0.0.1") == [
        *[True] * 7,
        *(False, True, True),
    ]
    assert ended == ["1.2.3.4"] * 2, "a proxy's connections do not make room"


def test_forwarded_addresses_are_believed_of_named_proxies_alone(serve):
    for proxies, statuses_of in (((), {429}), (("127.0.0.0/8",), {401})):
        api = serve(proxies=proxies)
        client = api.of("garbage")
        got = []
        for at in range(105):
            client.session.headers["X-Forwarded-For"] = f"192.0.2.{at}"
            got.append(client.pair().status_code)
        assert set(got[101:]) == statuses_of, proxies
        api.close()


def test_a_low_limit_of_files_is_told(monkeypatch):
    given = {"limits": (1_024, 1_024)}
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: given["limits"])
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: given.update(limits=limits))
    most, told = connections.most_connections()
    assert most == 824
    assert "may open 1,024 files, so that it takes 824 connections at a time. Raise the limit to 2,200" in told
    given["limits"] = (256, 100_000)
    assert connections.most_connections() == (2_000, "")
    assert given["limits"] == (2_200, 100_000), "raised as far as it is allowed"
    given["limits"] = (256, connections.resource.RLIM_INFINITY)
    assert connections.most_connections() == (2_000, "")


# Landing


def sealed(folder: Path) -> list[Path]:
    return sorted(folder.glob("day=*/*"))


def test_a_file_is_handed_over_by_size(serve):
    api = serve(seal_bytes=2_000)
    for number in range(2, 32):
        assert statuses(api.post(row(number))) == ["accepted"]
    wait_until(lambda: len(landed_ids(api.folder)) >= 20)
    files = landed(api.folder)
    assert len(files) >= 2
    assert all(2_000 <= path.stat().st_size < 2_400 for path in sealed(api.folder))
    assert landed_ids(api.folder) == [f"till:{number}" for number in range(2, 2 + len(landed_ids(api.folder)))]


def test_a_file_is_handed_over_by_age_whatever_the_clock_says(serve, monkeypatch):
    api = serve(seal_seconds=0.5)
    start = time.monotonic()
    api.post(row(2))
    assert sealed(api.folder) == []
    now = time.time
    monkeypatch.setattr(landing_folder.time, "time", lambda: now() - 86_400)
    wait_until(lambda: sealed(api.folder), 3)
    assert 0.4 < time.monotonic() - start < 3
    assert landed_ids(api.folder) == ["till:2"]
    assert list((api.folder / ".open").iterdir()) == []


def test_a_clock_that_jumps_loses_nothing(serve, monkeypatch):
    times = [datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(days=days) for days in (0, 400, -9_000, 0, 0)]
    given = iter(times)

    class Jumping(datetime):
        @classmethod
        def now(cls, zone=None):
            return next(given)

    monkeypatch.setattr(landing_folder, "datetime", Jumping)
    api = serve(seal_bytes=1)
    for number in range(2, 7):
        assert statuses(api.post(row(number))) == ["accepted"]
        wait_until(lambda number=number: len(sealed(api.folder)) == number - 1)
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 7)]
    days = sorted(path.parent.name for path in sealed(api.folder))
    assert days == ["day=2002-04-02", "day=2026-11-22", "day=2026-11-22", "day=2026-11-22", "day=2027-12-27"]
    monkeypatch.undo()
    api.close()
    api = serve()
    assert statuses(api.post([row(number) for number in range(2, 7)])) == ["duplicate"] * 5


class Disk:
    """What of the landing folder would survive a power cut now: what was synced."""

    def __init__(self, monkeypatch) -> None:
        self.files: dict[str, bytes] = {}
        self.names: dict[str, set[str]] = {}

        def sync(real, descriptor: int) -> None:
            real(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                self.names[str(path)] = {name.name for name in path.iterdir()}
            else:
                self.files[path.name.removesuffix(".ndjson").removesuffix(".whole")] = path.read_bytes()

        for name in ("fsync", "fdatasync"):
            real = getattr(os, name)
            monkeypatch.setattr(landing_folder.os, name, lambda descriptor, real=real: sync(real, descriptor))

    def holds(self, folder: Path) -> list[str]:
        """Events of files that have their name and their content."""
        found = []
        for part in (folder / ".open", *(folder / name for name in self.names.get(str(folder), ()))):
            for name in self.names.get(str(part), ()):
                content = self.files.get(name.removesuffix(".ndjson"), b"")
                found += [json.loads(line)["event_id"] for line in content.splitlines()]
        return found


def test_what_is_acknowledged_survives_a_power_cut(serve, monkeypatch):
    disk = Disk(monkeypatch)
    api = serve(seal_bytes=1_000)
    assert api.intake._landing._index.execute("pragma synchronous").fetchone() == (2,)
    assert ".open" in disk.names[str(api.folder)]
    assert api.folder.name in disk.names[str(api.folder.parent)]
    for number in range(2, 42, 2):
        assert statuses(api.post([row(number), row(number + 1)])) == ["accepted"] * 2
        assert {f"till:{number}", f"till:{number + 1}"} <= set(disk.holds(api.folder))
    api.close()
    assert sorted(set(disk.holds(api.folder))) == sorted(f"till:{number}" for number in range(2, 42))
    days = {path.parent for path in sealed(api.folder)}
    assert {name for day in days for name in disk.names[str(day)]} == {path.name for path in sealed(api.folder)}


def test_a_file_of_another_day_is_durable_when_taken_over(serve, monkeypatch):
    api = serve()
    api.close()
    left_behind(api.folder, "20261101T000000-1-dead", [row(2)])
    disk = Disk(monkeypatch)
    api = serve()
    assert disk.holds(api.folder) == ["till:2"]


def left_behind(folder: Path, name: str, rows: list[dict], torn: bytes = b"") -> None:
    """What a killed process left."""
    line = ",".join(GOOD.values())
    records = [
        {"event_id": one["event_id"], "landing_position": position, "line": line}
        for position, one in enumerate(rows, start=1)
    ]
    (folder / ".open" / name).write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records) + torn)


def test_what_a_killed_process_left_is_taken_over_without_what_others_took_in(serve, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.1)
    api = serve()
    api.post([row(3), row(4, Quantity="x")])
    time.sleep(0.3)  # now it waits for more
    name = "20261101T000000-1-dead"
    left_behind(api.folder, name, [row(2), row(3), row(4), row(5)], b'{"event_id": "till:6", "landing_pos')
    (api.folder / ".open" / "20261101T000000-2-empty").touch()
    wait_until(lambda: sealed(api.folder))
    assert [event["event_id"] for event in landed(api.folder)[f"{name}.ndjson"]] == ["till:2", "till:5"]
    assert api.pair().json()["line_count"] == 3
    assert statuses(api.post([row(2), row(3), row(5), row(6)])) == ["duplicate"] * 3 + ["accepted"]
    wait_until(lambda: len(list((api.folder / ".open").iterdir())) == 1)
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 7)]


def test_a_crash_while_taking_over_leaves_each_event_landed_once(serve, monkeypatch):
    api = serve()
    left_behind(api.folder, "20261101T000000-1-dead", [row(2), row(3)])
    landing = LandingFolder(api.folder, 1, 1)
    monkeypatch.setattr(Path, "unlink", lambda path, **_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(LandingError, match="Input/output error"):
        landing.take_over(lambda events: None)
    monkeypatch.undo()
    assert statuses(api.post([row(2), row(3)])) == ["duplicate"] * 2, "dbt may have seen them"
    assert landing.take_over(lambda events: None) == 1
    landing.close()
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3"]


def test_a_file_that_is_taken_for_a_dead_ones_is_begun_anew(serve, monkeypatch):
    api = serve()
    lock, held = landing_folder.fcntl.flock, []

    def faster(file: int, how: int) -> None:
        if not held:  # somebody looks just now
            held.append(os.open(f"/proc/self/fd/{file}", os.O_RDWR))
            lock(held[0], how)
        assert how & landing_folder.fcntl.LOCK_NB, "it would wait for who waits for it"
        lock(file, how)

    monkeypatch.setattr(landing_folder.fcntl, "flock", faster)
    assert statuses(api.post(row(2))) == ["accepted"]
    assert len(list((api.folder / ".open").iterdir())) == 2
    os.close(held[0])
    api.intake._landing.take_over(lambda events: None)
    api.close()
    assert landed_ids(api.folder) == ["till:2"]
    assert list((api.folder / ".open").iterdir()) == []


def test_a_handed_over_file_never_grows_even_if_the_disk_fails_right_then(serve, monkeypatch):
    api = serve(seal_bytes=1)
    real = landing_folder._sync_folder
    failures = []

    def fail(folder: Path) -> None:
        if folder.name.startswith("day="):
            failures.append(folder)
            raise OSError(5, "Input/output error")
        real(folder)

    monkeypatch.setattr(landing_folder, "_sync_folder", fail)
    for number in range(2, 5):
        assert statuses(api.post(row(number))) == ["accepted"]
        wait_until(lambda number=number: len(failures) == number - 1)
    wait_until(lambda: len(api.told) == 3)
    assert [len(events) for events in landed(api.folder).values()] == [1, 1, 1]
    assert "Input/output error" in api.told[0]


@pytest.mark.parametrize("wound", ["removed", "of another kind"])
def test_the_index_is_made_anew(serve, wound):
    api = serve(seal_bytes=500)
    api.post([row(number) for number in range(2, 8)])
    api.post(row(8))
    api.close()
    index = api.folder / ".index.sqlite"
    if wound == "of another kind":
        index.write_bytes(b"not a database" * 100)
        with pytest.raises(LandingError, match=r"not a database\. .*remove \.index\.sqlite; it is made anew"):
            serve()
    for path in api.folder.glob(".index.sqlite*"):
        path.unlink()
    left_behind(api.folder, "20261101T000000-1-dead", [row(8), row(9)])
    api = serve()
    assert statuses(api.post([row(number) for number in range(2, 11)])) == ["duplicate"] * 8 + ["accepted"]
    assert statuses(api.post(row(2, Quantity="7"))) == ["rejected"]
    api.close()
    assert sorted(landed_ids(api.folder)) == sorted(f"till:{number}" for number in range(2, 11))


# Faults


@pytest.mark.parametrize("before", [[], [row(2)]])
def test_a_store_that_fails_in_the_middle_takes_nothing(serve, tmp_path, before):
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store, seal_bytes=1 if before else 1 << 20)
    if before:
        api.post(before)
        wait_until(lambda: sealed(api.folder))
    store.fails = True
    rows = [row(number) for number in range(10, 20)]
    assert answers(lambda: api.post(rows)) == AWAY
    assert answers(api.pair) == AWAY
    store.fails = False
    assert [path.stat().st_size for path in (api.folder / ".open").iterdir()] in ([0], [])
    assert statuses(api.post(rows)) == ["accepted"] * 10
    assert api.pair().json()["line_count"] == 10 + len(before)
    api.close()
    assert sorted(landed_ids(api.folder)) == sorted(one["event_id"] for one in [*before, *rows])


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync", "index"])
def test_a_full_disk_takes_nothing_and_is_told(serve, monkeypatch, caplog, failing):
    api = serve()
    api.post(row(2))
    full = OSError(28, "No space left on device")

    def half(file: int, text: bytes, offset: int) -> int:
        if len(text) < 100:
            raise full
        return real(file, text[: len(text) // 2], offset)

    def fail(*_: object) -> None:
        raise full if failing == "fdatasync" else sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        if failing == "index":
            patch.setattr(LandingFolder, "_enter", staticmethod(fail))
        else:
            real = getattr(os, failing)
            patch.setattr(landing_folder.os, failing, half if failing == "pwrite" else fail)
        for _ in range(2):
            assert answers(lambda: api.post([row(number) for number in range(3, 10)])) == AWAY
        assert statuses(api.post(row(2))) == ["duplicate"], "nothing has to be written for it"
        assert api.pair().json()["line_count"] == 1
    [path] = (api.folder / ".open").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().endswith(b"\n")
    assert "full" in caplog.text or "No space left" in caplog.text
    assert statuses(api.post([row(number) for number in range(3, 10)])) == ["accepted"] * 7
    api.close()
    assert landed_ids(api.folder) == [f"till:{number}" for number in range(2, 10)]


def test_what_a_full_disk_does_not_even_let_take_back_is_not_landed(serve, monkeypatch):
    api = serve()
    api.post(row(2))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(landing_folder.os, "fdatasync", fail)
        patch.setattr(landing_folder.os, "ftruncate", fail)
        assert answers(lambda: api.post([row(3), row(4)])) == AWAY
    assert statuses(api.post([row(4), row(5)])) == ["accepted"] * 2
    api.close()
    api = serve()
    assert "till:3" not in landed_ids(api.folder), "503 means that it was not taken"
    assert statuses(api.post([row(3), row(4), row(5)])) == ["accepted", *["duplicate"] * 2]
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 6)]


def full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


class Refusing:
    """The index of a landing, which does not take what was entered."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index

    def __getattr__(self, name: str):
        return getattr(self._index, name)

    def execute(self, statement: str, *values):
        return full() if statement == "commit" else self._index.execute(statement, *values)


ROWS = [row(3), row(4), row(5, CustomerID="1", InvoiceNo="7")]


def refused(api: Server, monkeypatch) -> None:
    """Rows that were stored for look-ups when the index fails."""
    with monkeypatch.context() as patch:
        patch.setattr(api.intake._landing, "_index", Refusing(api.intake._landing._index))
        assert answers(lambda: api.post(ROWS)) == AWAY


def taken(api: Server) -> tuple[list[str], int]:
    lines = api.pair().json()["lines"]
    return [one["invoice_line_id"] for one in lines], api.get("/customers/1/invoices").status_code


def test_503_means_that_nothing_was_taken(serve, monkeypatch):
    api = serve()
    api.post(row(2))
    refused(api, monkeypatch)
    assert taken(api) == (["till:2"], 404)
    [path] = (api.folder / ".open").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert statuses(api.post([*ROWS[:1], row(4, Quantity="7")])) == ["accepted"] * 2
    api.close()
    assert landed_ids(api.folder) == ["till:2", "till:3", "till:4"]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_cannot_be_taken_back_at_once_is_taken_back_before_anybody_sees_it(serve, monkeypatch, restarted):
    monkeypatch.setattr(intake_module, "_UNDO_SECONDS", 3600.0)
    api = serve()
    api.post(row(2))
    with monkeypatch.context() as patch:
        patch.setattr(api.store, "remove", lambda lines: (_ for _ in ()).throw(StoreError("The store is away.")))
        refused(api, monkeypatch)
    assert {one.invoice_line_id for one in api.store.lines("536365", "85123A")} == {"till:2", "till:3", "till:4"}
    assert answers(api.pair) == AWAY, "it would tell of what was refused"
    assert answers(lambda: api.get("/customers/1/invoices")) == AWAY
    assert api.get("/customers/2/invoices").status_code == 404
    assert statuses(api.post(ROWS[1])) == ["accepted"], "it is sent again, and taken"
    if restarted:
        api.close()
        api = serve()
    else:
        monkeypatch.setattr(intake_module, "_UNDO_SECONDS", 0.05)
        api.intake._landing.undo(api.intake._remove)
    assert taken(api) == (["till:2", "till:4"], 404)
    assert statuses(api.post([row(2), *ROWS])) == ["duplicate", "accepted", "duplicate", "accepted"]
    api.close()
    assert sorted(landed_ids(api.folder)) == [f"till:{number}" for number in range(2, 6)]
    assert list((api.folder / ".open").iterdir()) == []


def test_whoever_dies_before_the_answer_has_taken_all_or_nothing(serve, monkeypatch, judge):
    """Between any two steps: what the next process finds is landed and can be looked up, or neither."""

    class Dead(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Dead

    steps = [
        (LandingFolder, "append"),
        (landing_folder.os, "pwrite"),
        (landing_folder.os, "fdatasync"),
        (LandingFolder, "_enter"),
        (SqliteStore, "put"),
        (None, "commit"),
    ]
    for at, (owner, name) in enumerate(steps):
        api = serve()
        landing = api.intake._landing
        with monkeypatch.context() as patch:
            if owner:
                patch.setattr(owner, name, staticmethod(die) if name == "_enter" else die)
            else:
                patch.setattr(sys.modules[__name__], "full", die)
                patch.setattr(landing, "_index", Refusing(landing._index))
            # A dead process tidies nothing up.
            patch.setattr(landing, "_take_back", lambda *_: None)
            patch.setattr(landing, "_take_back_later", lambda *_: None)
            patch.setattr(api.store, "remove", lambda lines: None)
            with pytest.raises(Dead):
                api.intake._verdicts([Row(**row(10 + at)).event()], {})
        api.store.close()
        landing._index.close()
        if landing._file >= 0:
            landing._let_go()
        api = serve()
        event_id = f"till:{10 + at}"
        is_found = event_id in {one["invoice_line_id"] for one in api.pair().json().get("lines", ())}
        assert is_found == (event_id in landed_ids(api.folder)), name
        assert statuses(api.post(row(10 + at))) == ["duplicate" if is_found else "accepted"], name
        api.close()
    assert sorted(landed_ids(api.folder)) == sorted(f"till:{10 + at}" for at in range(len(steps)))


def test_nothing_is_taken_while_hardly_any_disk_is_left(serve, monkeypatch):
    api = serve()
    usage = shutil.disk_usage(api.folder)
    with monkeypatch.context() as patch:
        patch.setattr(landing_folder.shutil, "disk_usage", lambda _: usage._replace(free=2 << 20))
        assert answers(lambda: api.post(row(2))) == AWAY
        assert api.pair().status_code == 404
    assert statuses(api.post(row(2))) == ["accepted"]


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path, judge, serve):
    (tmp_path / "landing").touch()
    with pytest.raises(LandingError, match=r"landed in .*landing: .*\. Free space or give the right to write there\."):
        serve()


def test_a_folder_that_vanishes_is_told_and_back_again_serves_on(serve, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.05)
    api = serve(seal_bytes=1)
    hidden = api.folder / ".hidden"
    (api.folder / ".open").rename(hidden)
    wait_until(lambda: api.told)
    assert answers(lambda: api.post(row(2))) == AWAY
    hidden.rename(api.folder / ".open")
    assert statuses(api.post(row(2))) == ["accepted"]
    wait_until(lambda: sealed(api.folder))
    assert landed_ids(api.folder) == ["till:2"]


def test_a_folder_that_is_gone_is_called_so(serve, caplog):
    api = serve()
    hidden = api.folder.rename(api.folder.with_name("hidden"))
    assert answers(lambda: api.post(row(2))) == AWAY
    assert "The folder is gone; bring it back and start again." in caplog.text
    hidden.rename(api.folder)
    assert statuses(api.post(row(2))) == ["accepted"]


def test_a_landing_is_known_by_its_index(tmp_path):
    def identity(folder: Path) -> str:
        landing = LandingFolder(folder, 1, 1)
        landing.close()
        return landing.identity

    first = identity(tmp_path / "a")
    assert identity(tmp_path / "a") == first
    assert identity(tmp_path / "b") != first
    (tmp_path / "a").rename(tmp_path / "c")
    assert identity(tmp_path / "c") == first


def test_a_file_that_cannot_be_handed_over_is_kept_and_told(serve, monkeypatch):
    api = serve(seal_seconds=0.2)
    today = api.folder / f"day={datetime.now(UTC):%Y-%m-%d}"
    today.write_text("in the way")
    assert statuses(api.post(row(2))) == ["accepted"]
    wait_until(lambda: api.told)
    assert statuses(api.post(row(3))) == ["accepted"]
    today.unlink()
    wait_until(lambda: today.is_dir() and landed_ids(api.folder) == ["till:2", "till:3"])


LIMITED = """
import resource, sys
from pathlib import Path
from retail_warehouse.streaming.rows import Row
from retail_warehouse.serving.connections import Connections
from retail_warehouse.streaming.landing_folder import LandingError, LandingFolder
from retail_warehouse.streaming.rules import Event

landing = LandingFolder(Path(sys.argv[1]), 1 << 30, 60)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
taken = 0
for number in range(100):
    try:
        with landing.transaction():
            landing.append([Event(f"{number}:{row}", "x" * 100) for row in range(2, 52)])
        taken += 1
    except LandingError as error:
        assert "File too large" in str(error) or "full" in str(error) or "I/O" in str(error), error
print(taken)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
landing.close()
"""


def test_a_real_limit_of_the_disk_leaves_whole_files(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    ids = landed_ids(tmp_path)
    assert len(ids) == len(set(ids)) == 50 * int(done.stdout)
    assert 0 < int(done.stdout) < 100


def test_a_caller_that_stops_waiting_does_not_stop_the_writer(serve, tmp_path):
    store = FaultyStore(tmp_path / "faulty.sqlite")
    api = serve(store=store)
    store.go.clear()
    event = Event("till:2", ",".join(GOOD.values()))
    first = api.intake.take([event])
    wait_until(lambda: store.puts == 1)
    second = api.intake.take([Event("till:3", event.line)])
    assert second.cancel()
    store.go.set()
    assert [verdict.status for verdict in first.result(10)] == ["accepted"]
    assert statuses(api.post(row(4))) == ["accepted"]


def test_an_error_that_nobody_thought_of_is_no_end_and_quotes_nothing(serve, judge, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.05)
    api = serve()

    def fail(events) -> None:
        raise error(f"something about {events}")

    with monkeypatch.context() as patch:
        patch.setattr(judge, "_judge", fail)
        error = RuntimeError
        assert answers(lambda: api.post(row())) == (500, None, '{"detail":"Internal error"}')
        error = duckdb.OutOfMemoryException
        assert answers(lambda: api.post(row())) == AWAY
        patch.setattr(LandingFolder, "take_over", lambda landing, store: fail("85123A"))
        error = RuntimeError
        wait_until(lambda: api.told)
    assert statuses(api.post(row())) == ["accepted"]
    assert "RuntimeError at " in caplog.text
    assert "OutOfMemory" in caplog.text
    for text in (caplog.text, str(api.told)):
        assert "85123A" not in text


# Many at once


def test_two_apis_on_one_folder_land_each_event_once(serve, compiled, monkeypatch):
    monkeypatch.setattr(intake_module, "_TAKE_OVER_SECONDS", 0.05)
    apis = [serve(seal_bytes=8_000), serve(Rules(compiled), seal_seconds=0.1)]
    folder = apis[0].folder
    numbers = range(2, 302)
    accepted: list[str] = []
    sizes: dict[Path, int] = {}
    grown, done = [], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            for path in sealed(folder):
                if sizes.setdefault(path, size := path.stat().st_size) != size:
                    grown.append(path)

    def send(at: int) -> None:
        chance = random.Random(at)
        client = apis[at % 2].another()
        for _ in range(15):
            sent = [row(number, Quantity=str(number % 7)) for number in chance.choices(numbers, k=30)]
            results = client.post(sent).json()["rows"]
            assert {result["status"] for result in results} <= {"accepted", "duplicate"}
            accepted.extend(result["event_id"] for result in results if result["status"] == "accepted")
            contradiction = row(int(results[0]["event_id"].partition(":")[2]), Quantity="100")
            assert statuses(client.post(contradiction)) == ["rejected"]

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert statuses(apis[0].post([row(n, Quantity=str(n % 7)) for n in numbers])).count("rejected") == 0
    assert apis[1].pair().json()["line_count"] == len(numbers)
    for api in apis:
        api.close()
        assert api.told == []
    done.set()
    watcher.join()
    everything = {f"till:{number}" for number in numbers}
    assert len(accepted) == len(set(accepted)) > 250
    ids = landed_ids(folder)
    assert len(ids) == len(everything)
    assert set(ids) == everything
    assert grown == []
    assert list((folder / ".open").iterdir()) == []


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


@pytest.mark.parametrize("hand_over", ["30", "0.2"])
def test_acknowledged_rows_survive_kill_9(tmp_path, hand_over):
    api = Process(tmp_path, "--hand-over", hand_over).ready()
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
        wait_until(lambda: len(acknowledged) > 600, 30)
        api.process.send_signal(signal.SIGKILL)
        for one in sending:
            one.result()
    api.process.wait()
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
        ({"ONLINE_RETAIL_LANDING": "/proc/nothing"}, "Events cannot be landed in /proc/nothing: "),
        ({"SERVING_STORE": "/proc/nothing/serving.sqlite"}, "cannot be made"),
        ({"RETAIL_WAREHOUSE_ENV": "production"}, "COGNITO_ISSUER is not set"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is LOUD"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, balancer"}, "TRUSTED_PROXIES names balancer: .*Name the addresses"),
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
    for name in ("COGNITO_ISSUER", "COGNITO_CLIENT_IDS", "COGNITO_JWKS_URL", "RETAIL_WAREHOUSE_ENV", "LOG_LEVEL"):
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


# The description


@pytest.fixture(scope="module")
def described(tmp_path_factory, compiled, issuer):
    server = Server(tmp_path_factory.mktemp("described"), Rules(compiled), issuer)
    server.post([row(2), row(3, InvoiceNo="1", StockCode="0")])
    yield server
    server.close()


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
]
OPERATIONS = [
    "POST /transactions",
    "GET /transactions",
    "GET /customers/{customer_id}/invoices",
    "GET /health",
    "GET /ready",
]


def fuzz(described: Server, operation: str, mode: GenerationMode, examples: int, headers: dict, of_checks: list) -> set:
    """Statuses of what a description has schemathesis send. Its own plug-in does not know this pytest."""
    told = described.get("/openapi.json").json()
    for schema in (told["components"]["schemas"][name]["properties"] for name in ("Row", "RawRow")):
        for text in (one for part in schema.values() for one in (part, *part.get("anyOf", ()))):
            if "maxLength" in text:
                text["maxLength"] = min(text["maxLength"], 250)  # schemathesis takes minutes for long texts
    description = schemathesis.openapi.from_dict(told)
    operations = {found.ok().label: found.ok() for found in description.get_all_operations()}
    assert set(operations) == set(OPERATIONS)
    seen = set()

    @given(case=operations[operation].as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case) -> None:
        answer = case.call_and_validate(described.url, headers=headers, checks=of_checks)
        seen.add(answer.status_code)

    send()
    return seen


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS[:3])
def test_the_description_holds_for_whatever_is_sent(described, operation, mode):
    seen = fuzz(described, operation, mode, 60, dict(described.session.headers), CHECKS)
    assert seen <= ({200, 404} if mode == GenerationMode.POSITIVE else {200, 401, 404, 405, 415, 422})


@pytest.mark.parametrize("operation", OPERATIONS[:3])
def test_whatever_is_sent_without_a_token_is_refused(described, operation):
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        assert fuzz(described, operation, mode, 20, {}, CHECKS[:4]) <= {401, 429}


def test_the_page_needs_no_other_address(described):
    page = described.of(None).get("/docs")
    assert page.status_code == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {part.rpartition(".")[2] for part in parts} == {"js", "css", "png"}
    for part in parts:
        assert part.startswith("/")
        assert described.of(None).get(part).status_code == 200


def test_the_examples_of_the_page_work(serve):
    api = serve()
    root = api.of(None).session.get(f"{api.url}/")
    assert (root.status_code, root.url) == (200, f"{api.url}/docs")
    paths = api.of(None).get("/openapi.json").json()["paths"]
    body = paths["/transactions"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert statuses(api.post(body)) == ["accepted"]
    for path in ("/transactions", "/customers/{customer_id}/invoices"):
        given = {
            (one["in"], one["name"]): one["schema"]["examples"][0]
            for one in paths[path]["get"]["parameters"]
            if one["required"]
        }
        for (place, name), text in given.items():
            path = path.replace(f"{{{name}}}", text) if place == "path" else path
        asked = {name: text for (place, name), text in given.items() if place == "query"}
        answer = api.get(path, **asked)
        assert answer.status_code == 200, answer.text
        assert answer.json().get("customer_id", "12374") == "12374"
    # `make stream` plays the sample, and the page of its API shall find something.
    sample = (PROJECT / "seeds/samples/online_retail/data.csv").read_text(encoding="latin-1")
    assert re.search(r"^536380,22961,.*,12374,[^,]*$", sample, re.MULTILINE)
    assert (body["InvoiceNo"], body["StockCode"], body["CustomerID"]) == ("536380", "22961", "12374")


def test_the_page_can_be_off(serve):
    api = serve(docs=False)
    paths = ("/", "/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/static-offline-docs/swagger-ui.css")
    assert {api.of(None).get(path).status_code for path in paths} == {404}
    assert statuses(api.post(row(2))) == ["accepted"]


def test_answers_are_private_and_what_they_say_they_are(api):
    nobody = api.of(None)
    got = [api.post(row(2)), api.pair(), api.pair("1"), api.post(b"x"), nobody.pair(), nobody.get("/docs")]
    got += [nobody.get("/health"), nobody.get("/nothing"), api.session.put(f"{api.url}/transactions")]
    assert {answer.status_code for answer in got} == {200, 401, 404, 405, 422}
    for answer in got:
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_files_of_customers_are_their_owners_alone(open_umask, serve, tmp_path):
    api = serve(seal_bytes=1)
    api.post(row(2))
    wait_until(lambda: landed_ids(api.folder))
    api.post([row(3)])
    left_behind(api.folder, "20261101T000000-1-dead", [row(4)])
    (api.folder / ".open" / "20261101T000000-1-dead").chmod(0o600)
    api.intake._landing.take_over(lambda events: None)
    modes = {path: oct(path.stat().st_mode & 0o777) for path in [api.folder, *api.folder.rglob("*")]}
    assert len(modes) >= 6
    assert {mode for path, mode in modes.items() if path.is_dir()} == {"0o700"}
    assert {mode for path, mode in modes.items() if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("serving.sqlite*")} == {"0o600"}
    SqliteStore(tmp_path / "new" / "serving.sqlite").close()
    assert oct((tmp_path / "new").stat().st_mode & 0o777) == "0o700"
    # What was readable for others before is so no more.
    api.close()
    (api.folder / ".index.sqlite").chmod(0o644)
    serve()
    assert oct((api.folder / ".index.sqlite").stat().st_mode & 0o777) == "0o600"


def test_where_there_is_no_fdatasync_rows_are_taken_too(serve, monkeypatch):
    synced = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda file, real=real, name=name: (synced.append(name), real(file)))
    api = serve()
    assert statuses(api.post(row(2))) == ["accepted"]
    assert "fdatasync" in synced
    monkeypatch.delattr(os, "fdatasync")  # as on macOS
    synced.clear()
    assert statuses(api.post(row(3))) == ["accepted"]
    assert synced == ["fsync"]
    full = []
    monkeypatch.setattr(landing_folder.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(landing_folder.fcntl, "fcntl", lambda file, what: full.append(what))
    assert statuses(api.post(row(4))) == ["accepted"]
    assert (full, synced) == ([51], ["fsync"])


def test_the_description_is_whole(described):
    told = described.of(None).get("/openapi.json").json()
    references = set()

    def look(part) -> None:
        if isinstance(part, dict):
            references.update([part["$ref"]] if "$ref" in part else [])
            assert "$defs" not in part
            part = list(part.values())
        for one in part if isinstance(part, list) else ():
            look(one)

    look(told)
    assert references == {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            scope = {"get": READ, "post": WRITE}[method]
            assert operation.get("security") == (None if path in ("/health", "/ready") else [{"token": [scope]}])
    for method, others in (("get", {"404"}), ("post", {"408", "413", "415"})):
        statuses_of = set(told["paths"]["/transactions"][method]["responses"])
        assert statuses_of == {"200", "401", "403", "422", "429", "503"} | others
    body = told["paths"]["/transactions"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/json"]

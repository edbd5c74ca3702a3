"""Rows that are sent to the API: what becomes of each, and what makes no sense."""

import gzip
import json
import time

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared.api_answers import DUPLICATE_KEY
from shared.api_server import GOOD, landed, landed_ids, row, statuses

from retail_warehouse.serving import bodies


def test_each_row_is_accepted_a_duplicate_or_rejected(serve, landing):
    api = serve(landing=landing.open())
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
    assert landing.landed_ids() == ["till:2", "till:3", "till:4"]


def test_a_row_that_was_received_before_is_judged_as_it_is_after_one_that_contradicts_it(serve, landing):
    api = serve(landing=landing.open())
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
    read = (
        duckdb.connect()
        .execute(
            "select line from read_json($1, format = 'newline_delimited', columns = {'line': 'VARCHAR'})",
            [f"{api.folder}/day=*/*.ndjson"],
        )
        .fetchall()
    )
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
    read = (
        duckdb.connect()
        .execute(
            "select count(*) from read_json($1, format = 'newline_delimited', columns = {'line': 'VARCHAR'})",
            [f"{api.folder}/day=*/*.ndjson"],
        )
        .fetchone()
    )
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

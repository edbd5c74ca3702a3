"""Look-ups: transactions, invoices of a customer, pages, keys, and what was loaded in bulk."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import duckdb
import pytest
from conftest import PROJECT
from shared.api_answers import AWAY, PAIR, answers, pages
from shared.api_server import Server, landed_ids, row, statuses, wait_until

from retail_warehouse.serving import keys, lookups_api
from retail_warehouse.serving.store import Delivery
from retail_warehouse.streaming.rows import Row


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
    upper = duckdb.connect().execute("select upper(unnest($1::varchar[]))", [characters]).fetchall()
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

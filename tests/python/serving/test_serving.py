"""The serving stores: one contract for both, and what each must do by itself. DynamoDB is moto's, over HTTP."""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from conftest import PROJECT
from moto.server import ThreadedMotoServer
from shared.serving_lines import NOON, line

from retail_warehouse.serving import dynamodb_store, sqlite_store
from retail_warehouse.serving.dynamodb_store import DynamoDbStore, create_table
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import Delivery, Invoice, Line, StoreError, Total

SECRET = "not-to-be-told"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client_of(endpoint: str, **config):
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="AKIAFAKE",
        aws_secret_access_key=SECRET,
        config=Config(**{"retries": {"total_max_attempts": 1}, "read_timeout": 20, **config}),
    )


@pytest.fixture(scope="module")
def client(endpoint):
    with closing(client_of(endpoint)) as client:
        yield client


@pytest.fixture
def table(client) -> Iterator[str]:
    create_table(client, "lines")
    yield "lines"
    client.delete_table(TableName="lines")


@pytest.fixture
def dynamodb(client, table) -> Iterator[DynamoDbStore]:
    with closing(DynamoDbStore(table, client)) as store:
        yield store


@pytest.fixture
def sqlite(tmp_path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "made" / "serving.sqlite")) as store:
        yield store


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request):
    return request.getfixturevalue(request.param)


# The contract.


def test_an_empty_store_finds_nothing(store):
    assert list(store.lines("536365", "85123A")) == []
    assert list(store.lines("", "")) == []
    assert list(store.invoices("17850")) == []
    assert list(store.invoices("")) == []
    assert list(store.lines("x" * 3000, "y")) == []
    assert list(store.invoices("ä" * 1500)) == []
    assert store.keep_only(["data.csv:2"]) == 0
    store.remove_keys([("536365", "85123A", "data.csv:2")])
    store.put([])


def test_a_line_comes_back_as_it_is(store):
    store.put([line()])
    assert list(store.lines("536365", "85123A")) == [line()]
    assert list(store.lines("536365", "85123")) == []
    assert list(store.lines("85123A", "536365")) == []
    assert list(store.invoices("17850")) == [Invoice("536365", NOON, 1, 6, Decimal("15.300"))]
    assert list(store.invoices("1785")) == []


def test_twenty_lines_of_one_transaction_come_in_the_order_of_their_files(store):
    ids = [f"{delivery}:{number}" for delivery in ("a:b.csv", "a.csv", "B.csv") for number in (100, 9, 10, 2, 11, 1)]
    ids += ["a:9", "a:10"]
    store.put([line(line_id, quantity=at) for at, line_id in enumerate(ids)])
    found = [found.invoice_line_id for found in store.lines("536365", "85123A")]
    assert found == [
        *(f"B.csv:{number}" for number in (1, 2, 9, 10, 11, 100)),
        *("a:9", "a:10"),
        *(f"a.csv:{number}" for number in (1, 2, 9, 10, 11, 100)),
        *(f"a:b.csv:{number}" for number in (1, 2, 9, 10, 11, 100)),
    ]
    assert store.invoices("17850")[0].line_count == 20


def test_money_is_exact(store):
    # Sums of floats: 0.1 + 0.2 is another number, and 53 bits do not hold the large one.
    amounts = [Decimal(text) for text in ("0.100", "0.200", "-0.001", "999999999999999.999", "-11062.060", "1E+2", "0")]
    store.put(
        line(f"a:{at}", stock_code=str(at), unit_price=amount, line_amount=amount) for at, amount in enumerate(amounts)
    )
    for at, amount in enumerate(amounts):
        (found,) = store.lines("536365", str(at))
        assert (found.unit_price, found.line_amount) == (amount, amount)
        assert str(found.unit_price) == str(found.line_amount) == f"{amount:.3f}"
    (invoice,) = store.invoices("17850")
    assert str(invoice.amount) == str(sum(amounts)) == "999999999989038.238"


def test_a_sum_may_be_larger_than_any_amount(store):
    store.put(line(f"a:{at}", line_amount=Decimal("999999999999999.999")) for at in range(12))
    assert [str(invoice.amount) for invoice in store.invoices("17850")] == ["11999999999999999.988"]
    store.put(line(f"a:{at}", line_amount=Decimal("-999999999999999.999")) for at in range(12))
    assert [str(invoice.amount) for invoice in store.invoices("17850")] == ["-11999999999999999.988"]


@pytest.mark.parametrize("amount", ["0.0001", "NaN", "sNaN", "Infinity", "1E+15", "-1E+15", "1E+999999"])
@pytest.mark.parametrize("column", ["unit_price", "line_amount"])
def test_money_that_would_change_is_refused(store, column, amount):
    with pytest.raises(ValueError, match="three decimals"):
        store.put([line(**{column: Decimal(amount)})])
    assert list(store.lines("536365", "85123A")) == []


@pytest.mark.parametrize("line_id", ["data.csv", "data.csv:", "", "data.csv:x"])
def test_an_id_without_a_number_is_refused(store, line_id):
    with pytest.raises(ValueError, match="invalid literal for int"):
        store.put([line(line_id)])
    assert list(store.lines("536365", "85123A")) == []


@pytest.mark.parametrize(
    "values",
    [
        {"quantity": -80995, "line_amount": Decimal("-168469.600"), "transaction_type": "cancellation"},
        {"quantity": 2**31 - 1},
        {"quantity": -(2**31)},
        {"quantity": 0, "unit_price": Decimal("0.000"), "line_amount": Decimal("0.000")},
        {"description": None},
        {"description": ""},
        {"description": "  pink\x00tea 'cup' \"#1\"; -- \n"},
        {"description": "Käsetheke, 茶碗 \N{TEACUP WITHOUT HANDLE}"},
        {"country": "Österreich", "customer_id": "Zoë 'Z' #1"},
        {"customer_id": "Unknown"},
        {"customer_id": "unknown"},
        {"invoiced_at": datetime(2010, 12, 1, 8, 26, 59, 123456)},
        {"invoiced_at": datetime(1, 1, 1)},
    ],
    ids=repr,
)
def test_every_value_comes_back(store, values):
    given = line(**values)
    store.put([given])
    assert list(store.lines("536365", "85123A")) == [given]
    if given.customer_id != "Unknown":
        wanted = Invoice("536365", given.invoiced_at, 1, given.quantity, given.line_amount)
        assert list(store.invoices(given.customer_id)) == [wanted]


def test_no_transaction_is_taken_for_another(store):
    pairs = [
        *[("1#2", "3"), ("1", "2#3"), ("1#2#3", ""), ("1%232", "3"), ("1%2523", "2"), ("1%23", "2"), ("1%", "23#2")],
        *[("1#", "2"), ("1", "#2"), ("#", "12"), ("##", ""), ("'", '"'), ("' or ''='", "%"), ("_", "%")],
        *[
            ("é", "e\u0301"),
            ("e\u0301", "é"),
            ("ABC", "x"),
            ("abc", "x"),
            ("1 ", "2"),
            ("1", " 2"),
            ("1", "2"),
            ("01", "2"),
        ],
    ]
    store.put(
        line(f"a:{at}", invoice_no=invoice_no, stock_code=stock_code, customer_id=f"c{at}")
        for at, (invoice_no, stock_code) in enumerate(pairs)
    )
    for at, (invoice_no, stock_code) in enumerate(pairs):
        found = store.lines(invoice_no, stock_code)
        assert [line.invoice_line_id for line in found] == [f"a:{at}"], (invoice_no, stock_code)
        assert [invoice.invoice_no for invoice in store.invoices(f"c{at}")] == [invoice_no]


def test_putting_twice_changes_nothing(store):
    given = [line(f"a:{number}", quantity=number) for number in range(3)]
    store.put(given)
    store.put(given)
    store.put(given + given)  # twice in one batch
    assert list(store.lines("536365", "85123A")) == given
    assert list(store.invoices("17850")) == [Invoice("536365", NOON, 3, 3, Decimal("45.900"))]


def test_the_last_one_put_counts(store):
    new = line(
        customer_id="12346",
        description=None,
        country="Spain",
        transaction_type="free_item",
        quantity=-2,
        unit_price=Decimal("0.001"),
        line_amount=Decimal("-0.002"),
        invoiced_at=datetime(2011, 2, 1),
    )
    store.put([line(), line("data.csv:3")])
    store.put([line(quantity=1), line(quantity=2), new])
    assert list(store.lines("536365", "85123A")) == [new, line("data.csv:3")]
    assert [invoice.line_count for invoice in store.invoices("17850")] == [1]
    assert list(store.invoices("12346")) == [Invoice("536365", datetime(2011, 2, 1), 1, -2, Decimal("-0.002"))]
    store.put([replace(new, customer_id="Unknown")])
    assert list(store.invoices("12346")) == []


@pytest.mark.parametrize("column", ["invoice_no", "stock_code"])
def test_a_line_that_moves_is_gone_where_it_was_when_a_delivery_is_replaced(store, column):
    first, second, third = line("a:1"), line("a:1", **{column: "B"}), line("a:1", **{column: "A"})
    store.put([first, line("a:2")])
    store.put([second])
    store.put([third])
    assert store.keep_only(["a:1", "a:2"]) == 0
    assert list(store.lines("536365", "85123A")) == [line("a:2")]
    assert list(store.lines(second.invoice_no, second.stock_code)) == []
    assert list(store.lines(third.invoice_no, third.stock_code)) == [third]
    assert sum(invoice.line_count for invoice in store.invoices("17850")) == 2
    store.put([second])
    assert store.keep_only([]) == 2
    assert list(store.invoices("17850")) == []


def test_invoices_add_up_in_order_of_time(store):
    early, late = datetime(2010, 12, 1, 8, 26), datetime(2011, 12, 9, 12, 50, 0, 5)
    store.put(
        [
            line("a:1", invoice_no="9", stock_code="A", quantity=5, line_amount=Decimal("1.005"), invoiced_at=late),
            line("a:2", invoice_no="9", stock_code="B", quantity=-7, line_amount=Decimal("-2"), invoiced_at=NOON),
            line("a:3", invoice_no="C9", quantity=-1, line_amount=Decimal("-3.999"), invoiced_at=NOON),
            line("a:4", invoice_no="10", invoiced_at=NOON),
            line("a:5", invoice_no="8", invoiced_at=late),
            line("a:6", invoice_no="7", invoiced_at=late.replace(microsecond=0)),
            line("a:7", invoice_no="A99", invoiced_at=early),
            line("a:8", invoice_no="A99", stock_code="B", customer_id="1", invoiced_at=datetime(2009, 1, 1)),
        ]
    )
    amount = Decimal("15.300")
    assert list(store.invoices("17850")) == [
        Invoice("A99", early, 1, 6, amount),
        Invoice("10", NOON, 1, 6, amount),
        Invoice("9", NOON, 2, -2, Decimal("-0.995")),
        Invoice("C9", NOON, 1, -1, Decimal("-3.999")),
        Invoice("7", late.replace(microsecond=0), 1, 6, amount),
        Invoice("8", late, 1, 6, amount),
    ]


def test_unknown_is_no_customer_whose_invoices_are_found(store):
    store.put([line("a:1", customer_id="Unknown"), line("a:2")])
    assert list(store.invoices("Unknown")) == []
    assert [invoice.line_count for invoice in store.invoices("17850")] == [1]
    assert [found.customer_id for found in store.lines("536365", "85123A")] == ["Unknown", "17850"]


def test_only_what_is_named_is_kept(store):
    given = [line(f"a:{number}", stock_code=str(number % 7)) for number in range(60)]
    store.put(given)
    kept = [f"a:{number}" for number in range(0, 60, 2)]
    assert store.keep_only(iter([*kept, "a:0", "b:1", "a':2"])) == 30
    found = [found.invoice_line_id for code in range(7) for found in store.lines("536365", str(code))]
    assert sorted(found) == sorted(kept)
    assert [invoice.line_count for invoice in store.invoices("17850")] == [30]
    assert store.keep_only(kept) == 0
    assert store.keep_only([]) == 30
    assert list(store.invoices("17850")) == []


def test_more_than_a_batch_and_more_than_a_page(store):
    # 1.7 MB in one transaction, of one customer, and in the table.
    long = "ä" * 2500
    given = [line(f"a:{number}", description=f"{number}{long}") for number in range(340)]
    store.put(iter(given))
    assert list(store.lines("536365", "85123A")) == given
    assert list(store.invoices("17850")) == [Invoice("536365", NOON, 340, 2040, Decimal("5202.000"))]
    # A line of another invoice, and one that is not there.
    store.remove_keys([("536366", "85123A", "a:3"), ("536365", "85123A", "a:999")])
    assert list(store.lines("536365", "85123A")) == given
    store.remove_keys(("536365", "85123A", f"a:{number}") for number in range(100, 140))
    assert list(store.lines("536365", "85123A")) == [*given[:100], *given[140:]]
    assert list(store.invoices("17850")) == [Invoice("536365", NOON, 300, 1800, Decimal("4590.000"))]
    assert store.keep_only(["a:0", "a:339"]) == 298
    assert list(store.lines("536365", "85123A")) == [given[0], given[-1]]


def test_pages_follow_one_another_and_totals_are_of_all(store):
    ids = [f"{delivery}:{number}" for delivery in ("B.csv", "a", "a.csv", "a:b.csv") for number in (2, 9, 10, 100)]
    given = [
        line(line_id, quantity=at, line_amount=Decimal(at).scaleb(-3) - 1, invoice_no=str(at % 2))
        for at, line_id in enumerate(ids)
    ]
    store.put(reversed(given))
    wanted = [one for one in given if one.invoice_no == "1"]
    found, after = [], None
    while page := store.lines("1", "85123A", 3, after):
        assert len(page) <= 3
        found += page
        after = page[-1].invoice_line_id
    assert found == wanted
    assert store.lines("1", "85123A", 100, "a:50") == [one for one in wanted if one.invoice_line_id not in ids[:7]]
    assert store.total("1", "85123A") == Total(
        len(wanted), sum(one.quantity for one in wanted), sum(one.line_amount for one in wanted)
    )
    assert store.total("2", "85123A") == Total(0, 0, Decimal("0.000"))
    store.put(line(f"c:{at}", invoice_no=f"I{at % 7}", invoiced_at=NOON.replace(hour=at % 3)) for at in range(20))
    every = list(store.invoices("17850"))
    assert len(every) == store.invoice_count("17850") == 9
    paged, last = [], None
    while some := store.invoices("17850", 2, last):
        assert len(some) <= 2
        paged += some
        last = (some[-1].invoiced_at, some[-1].invoice_no)
    assert paged == every
    assert store.invoice_count("1") == 0
    assert [store.invoice_count("17850", most) for most in (1, 8, 9, 10)] == [1, 8, 9, 9]


def test_what_was_delivered_in_bulk_keeps_its_place(store):
    loaded = Delivery("data.csv.gz", 9, "1")
    assert store.deliveries() == store.deliveries(["data.csv"]) == {}
    store.put([line("data.csv:3", invoice_no="STREAMED"), line("data.csv.GZ:4", quantity=1), line("data.csv:10")])
    store.set_delivery(loaded)
    store.set_delivery(Delivery("empty.csv", 1, ""))
    bulk = [line("data.csv.gz:2"), line("data.csv.gz:3"), line("data.csv.gz:5", description=None)]
    store.put(bulk)
    assert store.deliveries() == {"data.csv": loaded, "empty.csv": Delivery("empty.csv", 1, "")}
    assert store.deliveries(["data.csv", "other", *map(str, range(200))]) == {"data.csv": loaded}
    assert store.keep_only([one.invoice_line_id for one in bulk], of=["data.csv"]) == 2
    assert store.lines("STREAMED", "85123A") == []
    streamed = [line("data.csv:2", quantity=60), line("data.csv.gz:5", quantity=60), line("data.csv.gz:9")]
    streamed += [line("data.csv.gz:11"), line("empty.csv:2"), line("data.csv.gz.gz:2")]
    store.put(streamed, streamed=True)
    kept = ["data.csv:10", "data.csv.gz:2", "data.csv.gz:3", "data.csv.gz:5", "data.csv.gz:11", "empty.csv:2"]
    kept.append("data.csv.gz.gz:2")
    assert [one.invoice_line_id for one in store.lines("536365", "85123A")] == sorted(
        kept, key=lambda key: (key.rpartition(":")[0], int(key.rpartition(":")[2]))
    )
    assert store.holds([*bulk, *streamed]) == {*bulk, *streamed[3:]}
    variants = [replace(bulk[1], quantity=quantity) for quantity in range(10)]
    assert store.holds([*variants, replace(bulk[1], stock_code="B"), line("none:2")]) == {bulk[1]}
    store.remove([bulk[0], line("data.csv:2"), *streamed[3:], line("none:2")])
    left = {"data.csv:10", "data.csv.gz:2", "data.csv.gz:3", "data.csv.gz:5"}
    assert {one.invoice_line_id for one in store.lines("536365", "85123A")} == left
    assert store.total("536365", "85123A").line_count == store.invoices("17850")[0].line_count == 4
    store.drop_delivery("data.csv")
    assert list(store.deliveries()) == ["empty.csv"]
    store.remove([])
    store.put([line("data.csv:2")], streamed=True)
    assert store.total("536365", "85123A").line_count == 5


def test_threads_share_a_store(store):
    failures = []

    def work(name: str) -> None:
        try:
            for number in range(5):
                store.put([line(f"{name}:{number}", stock_code=name)])
                assert len(store.lines("536365", name)) == number + 1
                store.invoices("17850")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"t{at}",)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert store.invoices("17850")[0].line_count == 20


def test_a_closed_store_says_so(store):
    store.put([line()])
    store.close()
    store.close()
    for use in (
        lambda: store.lines("536365", "85123A"),
        lambda: store.invoices("17850"),
        lambda: store.put([line()]),
        lambda: store.keep_only(["data.csv:2"]),
        lambda: store.deliveries(["data.csv"]),
        lambda: store.holds([line()]),
        lambda: store.total("536365", "85123A"),
        lambda: store.remove_keys([("536365", "85123A", "data.csv:2")]),
    ):
        with pytest.raises(StoreError, match=r"serving\.sqlite: .* closed|table lines, is closed"):
            use()


# SQLite.


def test_a_file_keeps_what_was_put(tmp_path):
    path = tmp_path / "serving.sqlite"
    for number in range(2):
        with closing(SqliteStore(path)) as store:
            store.put([line(f"a:{number}")])
    assert [file.name for file in tmp_path.iterdir()] == ["serving.sqlite"]
    with closing(SqliteStore(path)) as store:
        assert len(store.lines("536365", "85123A")) == 2
        # What is put shall outlast a loss of power, and money is no float.
        assert store._writer.execute("pragma synchronous").fetchone() == (2,)
        kinds = store._writer.execute("select distinct typeof(unit_price), typeof(line_amount) from lines").fetchall()
        assert kinds == [("integer", "integer")]


def test_a_look_up_reads_one_range_of_an_index(sqlite):
    def plan(query: str, values: tuple) -> list[str]:
        return [row[3] for row in sqlite._reader.execute(f"explain query plan {query}", values)]

    by_transaction = "INDEX lines_by_transaction (invoice_no=? AND stock_code=?"
    assert plan(sqlite_store.LINES, ("1", "2", "a", 2, 100)) == [
        f"SEARCH lines USING {by_transaction} AND (file_name,row_number)>(?,?))"
    ]
    assert plan(sqlite_store.TOTAL, ("1", "2")) == [f"SEARCH lines USING COVERING {by_transaction})"]
    assert plan(sqlite_store.INVOICES, ("1", "2011-01-01T00:00:00", "1", 100)) == [
        "SEARCH invoices USING INDEX invoices_by_time (customer_id=? AND (invoiced_at,invoice_no)>(?,?))"
    ]


def test_lines_that_are_there_cost_no_write(sqlite, tmp_path):
    given = [line(f"a:{number}", description=None) for number in range(50)]
    sqlite.put(given)
    log = tmp_path / "made" / "serving.sqlite-wal"
    before = log.stat().st_size
    sqlite.put(given)
    assert log.stat().st_size == before
    sqlite.put([replace(given[7], description="")])
    assert log.stat().st_size > before


def test_invoices_are_the_sums_of_their_lines_whatever_is_put_replaced_and_removed(sqlite):
    chance = random.Random(1)
    kept: dict[str, Line] = {}
    for _ in range(60):
        given = [
            line(
                f"a:{chance.randrange(40)}",
                customer_id=chance.choice(["1", "2", "Unknown"]),
                invoice_no=chance.choice(["1", "2", "3"]),
                quantity=chance.randrange(-2, 3),
                line_amount=chance.choice([Decimal("-0.001"), Decimal("1.999"), Decimal(10**15 - 1)]),
                invoiced_at=datetime(2011, 1, chance.randrange(1, 29)),
            )
            for _ in range(10)
        ]
        sqlite.put(given)
        kept |= {put.invoice_line_id: put for put in given}
        if chance.random() < 0.3:
            kept = dict(chance.sample(sorted(kept.items()), len(kept) // 2))
            sqlite.keep_only(kept)
        for customer_id in ("1", "2"):
            lines_of: dict[str, list[Line]] = {}
            for each in kept.values():
                if each.customer_id == customer_id:
                    lines_of.setdefault(each.invoice_no, []).append(each)
            sums = [
                Invoice(
                    invoice_no,
                    min(each.invoiced_at for each in lines),
                    len(lines),
                    sum(each.quantity for each in lines),
                    sum((each.line_amount for each in lines), Decimal(0)),
                )
                for invoice_no, lines in lines_of.items()
            ]
            assert list(sqlite.invoices(customer_id)) == sorted(sums, key=lambda it: (it.invoiced_at, it.invoice_no))


def test_a_failure_stores_nothing_and_harms_nothing(sqlite):
    def broken() -> Iterator[Line]:
        yield line("a:1")
        raise KeyError("in the caller's own data")

    with pytest.raises(KeyError, match="own data"):
        sqlite.put(broken())
    with pytest.raises(ValueError, match="invalid literal"):
        sqlite.put([line("a:2"), line("a:x")])
    assert list(sqlite.lines("536365", "85123A")) == []

    def broken_ids() -> Iterator[str]:
        yield "a:4"
        raise KeyError("in the caller's own data")

    sqlite.put([line("a:3"), line("a:4")])
    with pytest.raises(KeyError, match="own data"):
        sqlite.keep_only(broken_ids())
    assert len(sqlite.lines("536365", "85123A")) == 2
    assert sqlite.keep_only(["a:3"]) == 1


@pytest.mark.parametrize("other_process", [False, True])
def test_readers_do_not_wait_for_a_writer(sqlite, tmp_path, other_process):
    sqlite.put([line("a:1")])
    reader = SqliteStore(tmp_path / "made" / "serving.sqlite") if other_process else sqlite
    writing, read = threading.Event(), threading.Event()
    outcome = []

    def slowly() -> Iterator[Line]:
        # More than fits in memory, so that it is in the files already.
        yield from (line(f"b:{number}", description="x" * 1000) for number in range(5000))
        writing.set()
        outcome.append(read.wait(20))

    thread = threading.Thread(target=sqlite.put, args=(slowly(),))
    thread.start()
    try:
        assert writing.wait(20)
        assert list(reader.lines("536365", "85123A")) == [line("a:1")]
        assert reader.invoices("17850")[0].line_count == 1
    finally:
        read.set()
        thread.join(60)
    assert outcome == [True], "the reader came through only when the writer gave up"
    assert reader.invoices("17850")[0].line_count == 5001
    reader.close()


WRITER = """
import sys
from pathlib import Path
from retail_warehouse.serving.sqlite_store import SqliteStore
from shared.serving_lines import line

path, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
store = SqliteStore(path)
for number in range(100):
    store.put([line(f"{name}:{number}", stock_code=name), line("shared:1", description=name)])
    assert len(store.lines("536365", name)) == number + 1
store.close()
"""


def test_processes_make_and_write_one_file_at_once(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests/python")])}
    path = tmp_path / "new" / "serving.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, f"p{at}"], env=environment, **pipes) for at in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    with closing(SqliteStore(path)) as store:
        assert store.invoices("17850")[0].line_count == 201


def test_a_file_is_made_once_however_many_open_it(tmp_path):
    for at in range(10):
        failures, start = [], threading.Barrier(4)

        def work(path=tmp_path / str(at) / "serving.sqlite", start=start, failures=failures) -> None:
            try:
                start.wait(20)
                with closing(SqliteStore(path)) as store:
                    store.put([line(f"{threading.get_ident()}:1")])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []


def test_opening_waits_for_another_process_that_makes_the_file(tmp_path):
    path = tmp_path / "serving.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("begin immediate")
        timer = threading.Timer(0.5, other.execute, ["rollback"])
        timer.start()
        with closing(SqliteStore(path)) as store:
            store.put([line()])
        timer.join()


def test_a_writer_that_waits_too_long_is_told(sqlite, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.05)
    path = tmp_path / "made" / "serving.sqlite"
    with closing(SqliteStore(path)) as impatient, closing(sqlite3.connect(path)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreError, match=r"serving\.sqlite: database is locked\. Another process .* try again"):
            impatient.put([line()])
        assert list(impatient.lines("536365", "85123A")) == []
        other.rollback()
        impatient.put([line()])
        assert list(impatient.lines("536365", "85123A")) == [line()]


def test_a_full_disk_is_told_and_what_was_there_stays(sqlite):
    sqlite.put([line("a:1")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(StoreError, match=r"serving\.sqlite: (database or disk is full|disk I/O error)\. "):
            sqlite.put(line(f"b:{number}", description="x" * 1000) for number in range(9000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(sqlite.lines("536365", "85123A")) == [line("a:1")]
    sqlite.put([line("a:2")])
    assert len(sqlite.lines("536365", "85123A")) == 2


OPENER = """
import sys
from pathlib import Path
from retail_warehouse.serving.store import StoreError
from retail_warehouse.serving.sqlite_store import SqliteStore
from shared.serving_lines import line

try:
    SqliteStore(Path(sys.argv[1])).put([line()])
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["serving.sqlite", "new.sqlite", "new/new.sqlite"])
def test_a_read_only_folder_is_told(tmp_path, name):
    folder = tmp_path / "folder"
    with closing(SqliteStore(folder / "serving.sqlite")) as store:
        store.put([line()])
    (folder / "serving.sqlite").chmod(0o444)
    folder.chmod(0o555)
    command = [sys.executable, "-c", OPENER, str(folder / name)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv, which gives that up, is missing")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests/python")])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert str(folder / name) in done.stdout
    assert "this user" in done.stdout.lower()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/serving\.sqlite cannot be made: .*\. Name a file"):
        SqliteStore(tmp_path / "file" / "serving.sqlite")
    with pytest.raises(StoreError, match=r"unable to open database file\. It must be a file"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize("statement", ["pragma user_version = 1", "create table mine (one)"])
def test_a_file_of_another_version_is_refused_and_left_as_it_is(tmp_path, statement):
    path = tmp_path / "serving.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"{path} is a serving store of version \d, and .* needs 3.*Move it away"):
        SqliteStore(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


VERSION_2 = """
create table lines (
    invoice_line_id text primary key not null, invoice_no text not null, stock_code text not null,
    customer_id text not null, description text, country text not null, transaction_type text not null,
    quantity integer not null, unit_price integer not null, line_amount integer not null, invoiced_at text not null
);
create index lines_by_transaction on lines (invoice_no, stock_code);
create index lines_by_invoice on lines (customer_id, invoice_no) where customer_id <> 'Unknown';
create table invoices (
    customer_id text not null, invoice_no text not null, invoiced_at text not null, line_count integer not null,
    quantity integer not null, pounds integer not null, thousandths integer not null,
    primary key (customer_id, invoice_no)
) without rowid;
create trigger line_replaced after update on lines begin delete from invoices; end;
insert into lines values
    ('a.csv:10', '536365', '85123A', '17850', null, 'UK', 'sale', 6, 2550, 15300, '2011-01-31T12:00:00'),
    ('a.csv:9', '536365', '85123A', '17850', null, 'UK', 'sale', 6, 2550, 15300, '2011-01-31T12:00:00');
insert into invoices values ('17850', '536365', '2011-01-31T12:00:00', 2, 12, 30, 600);
pragma user_version = 2;
"""


def test_a_file_of_the_version_before_is_renewed(tmp_path):
    path = tmp_path / "serving.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(VERSION_2)
    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            assert [one.invoice_line_id for one in store.lines("536365", "85123A")] == ["a.csv:9", "a.csv:10"]
            assert store.invoices("17850") == [Invoice("536365", NOON, 2, 12, Decimal("30.600"))]
            store.put([line("a.csv:9", description=None, country="UK"), line("a.csv:10", invoice_no="2")])
            store.put([line("a.csv:10", description=None, country="UK")])
            assert store.total("536365", "85123A") == Total(2, 12, Decimal("30.600"))
            assert store.invoices("17850") == [Invoice("536365", NOON, 2, 12, Decimal("30.600"))]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("InvoiceNo,StockCode\n" * 100)
    with pytest.raises(StoreError, match=rf"{path}: file is not a database\. It is no SQLite file; name another"):
        SqliteStore(path)
    assert path.read_text() == "InvoiceNo,StockCode\n" * 100
    with closing(SqliteStore(tmp_path / "serving.sqlite")) as store:
        store.put(line(f"a:{number}") for number in range(200))
    content = bytearray((tmp_path / "serving.sqlite").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "serving.sqlite").write_bytes(content)
    with closing(SqliteStore(tmp_path / "serving.sqlite")) as store, pytest.raises(StoreError, match="fill a new one"):
        store.lines("536365", "85123A")


# DynamoDB.


class Throttled:
    """A client whose table takes only some of each batch.

    Args:
        client: The real one.
        taken: Writes that it takes of each batch, for each call; then all.
    """

    def __init__(self, client, taken: list[int]) -> None:
        self._client, self._taken, self.batches = client, taken, []

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def batch_write_item(self, RequestItems: dict) -> dict:
        ((table, requests),) = RequestItems.items()
        self.batches.append(len(requests))
        taken = self._taken.pop(0) if self._taken else len(requests)
        if requests[:taken]:
            assert self._client.batch_write_item(RequestItems={table: requests[:taken]})["UnprocessedItems"] == {}
        left = requests[taken:]
        return {"UnprocessedItems": {table: left} if left else {}}


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Waits that would have been."""
    waits = []
    monkeypatch.setattr(dynamodb_store.time, "sleep", waits.append)
    return waits


def test_what_dynamodb_leaves_unprocessed_is_sent_again(client, table, waits):
    throttled = Throttled(client, [10, 0, 14, 1, 9])
    given = [line(f"a:{number}") for number in range(30)]
    store = DynamoDbStore(table, throttled)
    store.put(given)
    assert throttled.batches == [25, 15, 15, 1, 5]
    assert list(store.lines("536365", "85123A")) == given
    throttled.batches, throttled._taken = [], [24, 0]
    assert store.keep_only([]) == 30
    assert throttled.batches == [25, 1, 1, 5]
    assert list(store.lines("536365", "85123A")) == []


def test_waits_grow_and_differ_and_end(client, table, waits, monkeypatch):
    throttled = Throttled(client, [0] * 1000)
    with pytest.raises(StoreError, match=r"table lines: batch_write_item left 1 items .* try again later") as told:
        DynamoDbStore(table, throttled).put([line()])
    assert "536365" not in str(told.value)
    assert len(throttled.batches) == dynamodb_store.ATTEMPTS
    assert len(set(waits)) == len(waits) == dynamodb_store.ATTEMPTS - 1
    waits.clear()
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    with pytest.raises(StoreError):
        DynamoDbStore(table, throttled).put([line()])
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5, 5]


def test_an_item_is_what_the_table_says(client, dynamodb):
    dynamodb.put([line("a:1", customer_id="Unknown", description=None), line("a:2", unit_price=Decimal("0.001"))])
    unknown, known = sorted(client.scan(TableName="lines")["Items"], key=lambda item: item["invoice_line_id"]["S"])
    assert "customer_id" not in unknown
    assert "description" not in unknown
    assert known["customer_id"] == {"S": "17850"}
    assert known["transaction"] == {"S": "536365#85123A"}
    assert known["unit_price"] == {"N": "0.001"}
    (index,) = client.describe_table(TableName="lines")["Table"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by_customer"
    (listed,) = client.scan(TableName="lines", IndexName="by_customer")["Items"]
    assert set(listed) == {
        *("transaction", "invoice_line_id", "customer_id", "invoice_no"),
        *("invoiced_at", "quantity", "line_amount"),
    }


def test_lines_are_read_consistently(client, table):
    asked = []
    recorded = Recorded(client, asked)
    store = DynamoDbStore(table, recorded)
    store.lines("536365", "85123A")
    store.keep_only([])
    assert [(operation, values["ConsistentRead"]) for operation, values in asked] == [("query", True), ("scan", True)]


class Recorded:
    """A client that notes what is asked of it page by page."""

    def __init__(self, client, asked: list) -> None:
        self._client, self._asked = client, asked

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def get_paginator(self, operation: str):
        asked, paginator = self._asked, self._client.get_paginator(operation)

        class Paginator:
            def paginate(self, **values):
                asked.append((operation, values))
                return paginator.paginate(**values)

        return Paginator()


@pytest.mark.parametrize(
    ("operation", "use"),
    [
        ("query", lambda store: store.lines("536365", "85123A")),
        ("query", lambda store: store.invoices("17850")),
        ("scan", lambda store: store.keep_only(["data.csv:2"])),
        ("batch_write_item", lambda store: store.put([line()])),
    ],
)
def test_errors_name_the_table_and_the_operation_and_no_item(endpoint, client, operation, use):
    missing = DynamoDbStore("missing", client)
    with pytest.raises(StoreError, match=rf"table missing: {operation} failed, ResourceNotFoundException\. Look"):
        use(missing)
    nowhere = DynamoDbStore("lines", client_of("http://127.0.0.1:9", connect_timeout=2))
    with pytest.raises(StoreError, match=rf"table lines: {operation} failed, EndpointConnectionError\. Look"):
        use(nowhere)
    with closing(client_of(endpoint)) as refused, Stubber(refused) as stubber:
        message = f"{SECRET} may not touch 536365, 17850, data.csv:2"
        stubber.add_client_error(operation, "AccessDeniedException", message)
        with pytest.raises(
            StoreError, match=rf"table lines: {operation} failed, AccessDeniedException\. Allow"
        ) as told:
            use(DynamoDbStore("lines", refused))
    for part in (SECRET, "536365", "17850", "data.csv"):
        assert part not in str(told.value)


def test_a_table_is_made_once(client, table):
    with pytest.raises(StoreError, match=r"table lines: create_table failed, ResourceInUseException\. It exists"):
        create_table(client, table)


def test_the_environment_names_the_region(monkeypatch, tmp_path):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StoreError, match=r"table lines: connect failed, NoRegionError\. Name the region"):
        DynamoDbStore("lines")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with closing(DynamoDbStore("lines")) as store:
        assert store._client.meta.region_name == "eu-central-1"

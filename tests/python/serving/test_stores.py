"""The serving stores: one contract for both."""

import threading
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from shared.serving_lines import NOON, line

from retail_warehouse.serving.store import Delivery, Invoice, StoreError, Total


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


def test_lines_and_total_of_one_customer(store):
    own = [line(f"a:{at}", quantity=at) for at in range(2, 6)]
    others = [line("b:2", customer_id="1"), line("b:3", customer_id="Unknown"), line("b:4", stock_code="22961")]
    store.put([*own, *others])
    assert list(store.lines("536365", "85123A", customer_id="17850")) == own
    assert list(store.lines("536365", "85123A", 2, "a:3", "17850")) == own[2:]
    assert store.total("536365", "85123A", "17850") == Total(4, 14, Decimal("61.200"))
    assert store.total("536365", "85123A", "1") == Total(1, 6, Decimal("15.300"))
    for nobody in ("2", "Unknown", "nobody"):
        assert list(store.lines("536365", "85123A", customer_id=nobody)) == []
        assert store.total("536365", "85123A", nobody) == Total(0, 0, Decimal("0.000"))


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

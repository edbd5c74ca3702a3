"""Online Retail: what is read, what is rejected, and what the complete real file adds up to."""

import gzip
import json
import re
import shutil
from pathlib import Path

import duckdb
import pytest
from conftest import ONLINE_RETAIL, PROJECT, REAL_FILE, TESTS_OF_BOTH, WITH_ARTIFACTS, needs_the_real_file

from retail_warehouse import official

SAMPLE = PROJECT / "seeds/samples/online_retail"
GOOD = "536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom"
MARTS = (
    "invoice_lines",
    "fct_sales",
    "fct_cancellations",
    "invoices",
    "customers",
    "stock_items",
    "transactions",
    "fct_daily_sales",
)


@pytest.fixture
def dbt(built_dbt):
    """dbt with a warehouse that holds Instacart, so that Online Retail alone needs to be built."""
    return built_dbt


def marts(dbt) -> dict[str, list[tuple]]:
    where = {"invoice_lines", "fct_sales", "fct_cancellations"}
    return {
        # Where a row came from differs between copies of a file.
        name: dbt.query(
            f"select {'* exclude (invoice_line_id, file_name)' if name in where else '*'}"
            f" from online_retail.{name} order by all"
        )
        for name in MARTS
    }


def write(folder: Path, *lines: str, name: str = "data.csv", header: str = official.ONLINE_RETAIL_HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(("\n".join([header, *lines]) + "\n").encode("utf-8"))
    return folder


def run(dbt, folder: Path, *arguments: str, without: tuple[str, ...] = ("test", "unit_test"), **environment: str):
    tests = () if "test" in without else TESTS_OF_BOTH
    build = ("build", "--exclude-resource-types", *without, *ONLINE_RETAIL, *tests, *arguments)
    return dbt(*build, ONLINE_RETAIL_DATA=str(folder), **environment)


@pytest.mark.slow
def test_a_bad_row_is_rejected_and_the_rest_builds(dbt, tmp_path):
    cases = [
        ("536365,85123A,HOLDER,1.5,12/1/2010 8:26,2.55,17850,UK", "unreadable_value", "quantity = '1.5'"),
        ("536365,85123A,HOLDER,6,12/1/2010 8:26,abc,17850,UK", "unreadable_value", "unit_price = 'abc'"),
        ("536365,85123A,HOLDER,6,13/13/2010 8:26,1,17850,UK", "unreadable_value", "invoiced_at = '13/13/2010 8:26'"),
        ("ABCDEFGH,85123A,HOLDER,6,12/1/2010 8:26,1,17850,UK", "unreadable_value", "invoice_no = 'ABCDEFGH'"),
        ("536365, ,HOLDER,6,12/1/2010 8:26,1,17850,UK", "missing_key", "stock_code is empty"),
        (",85123A,HOLDER,6,12/1/2010 8:26,1,17850,UK", "missing_key", "invoice_no is empty"),
        ("536365,85123A,HOLDER,6,,1,17850,UK", "out_of_domain", "invoiced_at is empty"),
        ("536365,85123A,HOLDER,6,12/1/2010 24:00,1,17850,UK", "unreadable_value", "invoiced_at = '12/1/2010 24:00'"),
        (f"{'9' * 20},85123A,HOLDER,6,12/1/2010 8:26,1,17850,UK", "unreadable_value", f"invoice_no = '{'9' * 20}'"),
        # Beyond any invoice: amounts, their sums and the calendar stay within their types.
        ("1,85123A,HOLDER,1000001,12/1/2010 8:26,1,17850,UK", "out_of_domain", "quantity = '1000001'"),
        ("1,85123A,HOLDER,2147483647,12/1/2010 8:26,999999999.999,1,UK", "out_of_domain", "quantity = '2147483647'"),
        ("1,85123A,HOLDER,1,12/1/2010 8:26,-1000000.001,1,UK", "out_of_domain", "unit_price = '-1000000.001'"),
        ("1,85123A,HOLDER,6,12/1/1900 8:26,1,17850,UK", "out_of_domain", "invoiced_at = '12/1/1900 8:26'"),
        ("1,85123A,HOLDER,6,1/1/50 0:00,1,17850,UK", "out_of_domain", "invoiced_at = '1/1/50 0:00'"),
        (f"1,{'S' * 51},HOLDER,6,12/1/2010 8:26,1,1,UK", "out_of_domain", f"stock_code = '{'S' * 51}'"),
        (f"1,85123A,{'D' * 1001},6,12/1/2010 8:26,1,1,UK", "out_of_domain", f"description = '{'D' * 100}'"),
        (f"1,85123A,HOLDER,6,12/1/2010 8:26,1,1,{'C' * 101}", "out_of_domain", f"country = '{'C' * 100}'"),
        ("536365,85123A", "wrong_field_count", "2 fields, the header has 8"),
        (
            '536365,85123A,"HOLDER,6,12/1/2010 8:26,1,17850,UK',
            "broken_quote",
            "a double quote is not closed, or stands inside an unquoted field",
        ),
    ]
    # The largest that is accepted, and a cancellation with a positive amount.
    largest = f"{'9' * 19},{'S' * 50},{'D' * 1000},1000000,12/31/49 23:59,1000000,1,{'C' * 100}"
    positive = "C536365,85123A,HOLDER,6,12/1/2010 8:26,1,17850,United Kingdom"
    folder = write(
        tmp_path / "data", GOOD, *(line for line, _, _ in cases), GOOD.replace("HOLDER", "LAST"), largest, positive
    )
    # As the first build of all, with every test.
    dbt.clear()
    outcome = dbt.build("--vars", "{max_rejected_rows: 99}", ONLINE_RETAIL_DATA=str(folder))
    assert outcome.ok, outcome.output
    assert "WARN 1 accepted_range_fct_daily_sales_cancellation_amount__0" in outcome.output
    assert dbt.query("select max(line_amount)::varchar, max(invoice_date)::varchar from online_retail.fct_sales") == [
        ("1000000000000.000", "2049-12-31")
    ]
    assert dbt.rejected() == [
        ("invoice_lines", row, reason, detail) for row, (_, reason, detail) in enumerate(cases, start=3)
    ]
    assert dbt.reconciliation("online_retail")["data.csv"] == [len(cases) + 4, 4, len(cases)]
    assert dbt.query("select left(description, 6) from online_retail.fct_sales order by row_number") == [
        ("HOLDER",),
        ("LAST",),
        ("DDDDDD",),
    ]


@pytest.mark.slow
def test_a_nul_byte_and_a_very_long_line_cost_nobody_else(dbt, tmp_path):
    folder = write(
        tmp_path / "data", GOOD, GOOD.replace("HOLDER", "H\0LDER"), GOOD.replace("HOLDER", "X" * 10_000_000), GOOD
    )
    outcome = run(dbt, folder)
    assert outcome.ok, outcome.output
    raw, accepted, rejected = dbt.reconciliation("online_retail")["data.csv"]
    assert (raw, accepted + rejected) == (4, 4)
    # A description may hold any character; one of ten million is wider than its column.
    assert dbt.query("select row_number, length(description) from online_retail.fct_sales order by row_number") == [
        (2, 6),
        (3, 6),
        (5, 6),
    ]
    assert dbt.query("select row_number, reason, length(detail), length(raw_record) from audit.rejected_rows") == [
        (4, "out_of_domain", 116, 1000)
    ]


@pytest.mark.slow
def test_copies_in_other_dialects_are_the_same_data(dbt, tmp_path):
    text = (SAMPLE / "data.csv").read_text(encoding="latin-1")
    assert run(dbt, SAMPLE).ok
    expected = marts(dbt)
    assert any("£" in (row[3] or "") for row in expected["invoice_lines"])
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select * from read_csv('{SAMPLE}/data.csv', all_varchar = true, encoding = 'latin-1', quote = '\"')"
        ).fetchall()

    def rewritten(change) -> str:
        def field(value):
            return "" if value is None else '"' + value.replace('"', '""') + '"'

        lines = [",".join(field(value) for value in change(dict(enumerate(row))).values()) for row in rows]
        return "\n".join([official.ONLINE_RETAIL_HEADER, *lines]) + "\n"

    def iso(row):
        day, time = row[4].split(" ")
        month, day, year = day.split("/")
        hour, minute = time.split(":")
        return {**row, 4: f"{year}-{month:0>2}-{day:0>2} {hour:0>2}:{minute}:00"}

    def short_year(row):
        return {**row, 4: re.sub(r"/20(\d\d) ", r"/\1 ", row[4])}

    def float_customer(row):
        return {**row, 6: row[6] and row[6] + ".0"}

    later_header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    copies = {
        "utf8.csv": text.encode("utf-8"),
        "bom.csv": b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode("utf-8"),
        "packed.csv.gz": gzip.compress(text.encode("latin-1")),
        "later.csv": text.replace(official.ONLINE_RETAIL_HEADER, later_header).encode("latin-1"),
        "iso.csv": rewritten(iso).encode("utf-8"),
        "short year.csv": rewritten(short_year).encode("utf-8"),
        "it's.csv": rewritten(float_customer).encode("utf-8"),
    }
    for name, content in copies.items():
        folder = tmp_path / "copy"
        folder.mkdir()
        (folder / name).write_bytes(content)
        outcome = run(dbt, folder)
        assert outcome.ok, f"{name}: {outcome.output}"
        assert dbt.rejected() == [], name
        assert marts(dbt) == expected, name
        assert dbt.query("select distinct file_name from online_retail.fct_sales") == [(name,)]
        shutil.rmtree(folder)


@pytest.mark.slow
def test_several_files_are_one_data_set(dbt, tmp_path):
    folder = write(tmp_path / "data", GOOD, GOOD, name="b.csv")
    write(folder, GOOD, GOOD.replace("HOLDER", "OTHER"), name="a.csv")
    write(folder, name="empty.csv")
    # The largest that is accepted, more often than any amount of eighteen digits could add up.
    largest = GOOD.replace("536365", "7").replace(",6,", ",1000000,").replace("2.55", "1000000").replace("12/1", "3/4")
    write(folder, *[largest, "C" + largest.replace("1000000,3", "-1000000,3")] * 1001, name="large.csv")
    assert run(dbt, folder).ok
    assert dbt.query(
        "select gross_amount::varchar, net_amount::varchar from online_retail.fct_daily_sales order by 1"
    ) == [
        ("1001000000000000.000", "0.000"),
        ("61.200", "61.200"),
    ]
    (folder / "large.csv").unlink()
    assert run(dbt, folder).ok
    assert dbt.query("select invoice_line_id, is_exact_duplicate from online_retail.invoice_lines order by 1") == [
        ("a.csv:2", False),
        ("a.csv:3", False),
        ("b.csv:2", True),
        ("b.csv:3", True),
    ]
    counts = dbt.reconciliation("online_retail")
    assert [counts[name] for name in ("a.csv", "b.csv", "empty.csv")] == [[2, 2, 0], [2, 2, 0], [0, 0, 0]]


@pytest.mark.slow
def test_a_delivery_counts_once_whatever_its_name(dbt, tmp_path):
    """The same rows in another file, spelt and packed otherwise, are left out; rows that repeat within a file stay."""
    lines = [GOOD.replace("536365", str(500_000 + n)) for n in range(300)]
    bad = "1,x,HOLDER,one,12/1/2010 8:26,1,1,UK"
    folder = write(tmp_path / "data", *lines, lines[0], bad)
    shuffled = [lines[0], bad.replace("HOLDER", '"HOLDER"'), *reversed(lines)]
    content = "\r\n".join([official.ONLINE_RETAIL_HEADER, *shuffled]).replace("12/1/2010", "12/01/10").encode()
    (folder / "copy.csv.gz").write_bytes(gzip.compress(content))
    write(folder, *lines[:150], name="a part.csv")
    write(folder, *lines[:101], *(line.replace("HOLDER", "OTHER") for line in lines[:100]), name="in common.csv")
    write(folder, *lines[:99], name="one more.csv")
    write(folder, *lines[:99], lines[0], lines[0], name="three of one.csv")
    outcome = run(dbt, folder, "--vars", "{max_rejected_rows: 0}", without=("unit_test",))
    assert outcome.ok, outcome.output
    assert dbt.query("select file_name, verdict, detail from audit.doubted_files order by 1") == [
        ("a part.csv", "repeated", "all rows of the file are in copy.csv.gz as well"),
        ("data.csv", "repeated", "all rows of the file are in copy.csv.gz as well"),
        ("in common.csv", "partly_repeated", "101 of the 201 rows of the file are in copy.csv.gz as well"),
        ("one more.csv", "repeated", "all rows of the file are in copy.csv.gz as well"),
        ("three of one.csv", "partly_repeated", "100 of the 101 rows of the file are in copy.csv.gz as well"),
    ]
    assert (
        "File data.csv: all rows of the file are in copy.csv.gz as well. It is left out; remove it." in outcome.output
    )
    assert dbt.query("select file_name, count(*) from online_retail.fct_sales group by 1 order by 1") == [
        ("copy.csv.gz", 301),
        ("in common.csv", 201),
        ("three of one.csv", 101),
    ]
    # The ledger knows them by their rows.
    contents = dict(dbt.query("select file_name, content from audit.processed_files where model_name like 'stg_%'"))
    assert contents["data.csv"].startswith("302 rows, ")
    assert [name for name, content in contents.items() if content == contents["data.csv"]] == [
        "copy.csv.gz",
        "data.csv",
    ]
    # A delivery that was taken in is judged again once another one holds its rows: here a stream, in two parts.
    landing = tmp_path / "landing"
    landing.mkdir()
    (folder / "three of one.csv").unlink()
    folder = write(tmp_path / "other", *lines[:2], name="x.csv")
    write(folder, lines[3], name="till.csv.gz.csv")
    assert run(dbt, folder).ok
    for part, sent in enumerate(([lines[0]], [lines[1], lines[2]])):
        events = [
            {"event_id": f"till:{2 + part + n}", "landing_position": n + 1, "line": line} for n, line in enumerate(sent)
        ]
        (landing / f"{part}.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
        outcome = run(dbt, folder, ONLINE_RETAIL_LANDING=str(landing))
        assert outcome.ok, outcome.output
    found = dbt.query("select invoice_line_id from online_retail.fct_sales order by 1")
    assert found == [("till.csv.gz.csv:2",), ("till:2",), ("till:3",), ("till:4",)]
    # One delivery, streamed and as a packed file.
    (folder / "x.csv").unlink()
    (folder / "till.GZ.csv").unlink(missing_ok=True)
    events = [{"event_id": "packed.csv:2", "landing_position": 1, "line": lines[9]}]
    # And one that is streamed twice, under two names, which can only be told.
    events += [
        {"event_id": f"{name}:{n}", "landing_position": first + n, "line": line}
        for first, name in ((0, "once.csv"), (100, "twice.csv"))
        for n, line in enumerate(lines[100:200], start=2)
    ]
    (landing / "2.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "packed.csv.gz").write_bytes(
        gzip.compress("\n".join([official.ONLINE_RETAIL_HEADER, lines[9], lines[8]]).encode())
    )
    outcome = run(dbt, folder, ONLINE_RETAIL_LANDING=str(landing), without=("unit_test",))
    assert outcome.ok, outcome.output
    found = dbt.query("select invoice_line_id from online_retail.fct_sales order by 1")
    assert [row for row in found if "packed" in row[0]] == [
        ("packed.csv.gz:2",),
        ("packed.csv.gz:3",),
    ]
    assert dbt.query("select file_name, verdict, detail from audit.doubted_files order by 1") == [
        (name, "partly_repeated", f"100 of the 100 rows of the stream are in {other} as well")
        for name, other in (("once.csv", "twice.csv"), ("twice.csv", "once.csv"))
    ]


@pytest.mark.slow
def test_a_file_that_most_of_cannot_be_accepted_stops_the_marts(dbt, tmp_path):
    """However small it is, and however many good rows lie beside it."""
    assert run(dbt, SAMPLE).ok
    before = marts(dbt)
    folder = shutil.copytree(SAMPLE, tmp_path / "data")
    good = [GOOD.replace("HOLDER", f"H{n}") for n in range(2)]
    write(folder, *good, *(line.replace(",6,", ",six,") for line in good), name="half.csv")
    outcome = run(dbt, folder, without=("unit_test",))
    assert outcome.ok, outcome.output
    write(folder, *good, *(line + "," for line in good * 6), name="most.csv")
    outcome = run(dbt, folder, without=("unit_test",))
    assert not outcome.ok
    assert "File most.csv: 12 of its 14 rows cannot be accepted" in outcome.output
    assert "FAIL 1 online_retail_rejected_rows_within_limit" in outcome.output
    assert len(marts(dbt)["invoice_lines"]) == len(before["invoice_lines"]) + 2
    write(folder, good[0] + ",", name="most.csv")
    outcome = run(dbt, folder, without=("unit_test",))
    assert "File most.csv: 1 of its 1 rows cannot be accepted" in outcome.output
    assert run(dbt, folder, "--vars", "{max_rejected_share_of_file: 1}", without=("unit_test",)).ok


@pytest.mark.slow
def test_a_file_of_the_other_date_order_is_left_out_and_the_others_are_built(dbt, tmp_path):
    folder = shutil.copytree(SAMPLE, tmp_path / "data")
    write(folder, *(GOOD.replace("12/1/2010", f"{day}/1/2026") for day in range(1, 32)), name="till.csv")
    # A slip in a file whose dates cannot be mixed up costs its row.
    iso = [GOOD.replace("12/1/2010 8:26", f"2026-01-{day:02} 08:26:00") for day in range(1, 32)]
    write(folder, *iso, GOOD.replace("12/1/2010", "13/1/2026"), name="iso.csv")
    outcome = run(dbt, folder, without=("unit_test",))
    assert not outcome.ok
    assert "FAIL 1 assert_no_file_has_the_other_date_order" in outcome.output
    assert "ERROR=1 SKIP=0" in outcome.output
    assert (
        "File till.csv: the dates of 19 of the 31 rows of the file can only be read with day and month"
        in outcome.output
    )
    counts = dbt.reconciliation("online_retail")
    assert (counts["till.csv"], counts["iso.csv"]) == ([31, 0, 31], [32, 31, 1])
    assert dbt.query("select count(*) from online_retail.fct_daily_sales where invoice_date >= '2026-02-01'") == [(0,)]


@pytest.mark.slow
def test_every_csv_file_is_read_whatever_its_name(dbt, tmp_path):
    names = ["data.csv", "data.csv.csv", "UPPER.CSV", "a.csv-2011.csv", "packed.Csv.GZ", ".hidden.csv"]
    folder = write(tmp_path / "data", GOOD)
    for name in names[1:]:
        content = (folder / "data.csv").read_bytes().replace(b"HOLDER", name[:6].encode())
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    (folder / "notes.txt").touch()
    outcome = run(dbt, folder)
    assert outcome.ok, outcome.output
    counts = dbt.reconciliation("online_retail")
    # But for what editors and systems leave behind.
    assert counts == {name: [1, 1, 0] for name in names if name != ".hidden.csv"}
    assert "1 hidden or temporary file is skipped, such as .hidden.csv" in outcome.output


@pytest.mark.slow
def test_unreadable_files_stop_the_build(dbt, tmp_path):
    assert run(dbt, SAMPLE).ok
    before = marts(dbt)
    empty = tmp_path / "empty"
    empty.mkdir()
    twice = write(tmp_path / "twice", GOOD)
    (twice / "data.csv.gz").write_bytes(gzip.compress((twice / "data.csv").read_bytes()))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "data.csv.gz").write_bytes(
        gzip.compress(f"{official.ONLINE_RETAIL_HEADER}\r\n{GOOD}\r\n{GOOD}\r{GOOD}\r\n".encode())
    )
    utf8 = write(tmp_path / "utf8", GOOD.replace("HOLDER", "£1"))
    cases = [
        (empty, "", "the folder is missing or has no CSV file (*.csv, *.csv.gz)"),
        (tmp_path / "nowhere", "", "the folder is missing or has no CSV file (*.csv, *.csv.gz)"),
        (twice / "data.csv", "", "the folder is missing or has no CSV file (*.csv, *.csv.gz)"),
        (twice, "", "both data.csv and data.csv.gz"),
        (packed, "", "file data.csv.gz ends its lines with CRLF, but holds a carriage return without a line feed"),
        (
            write(tmp_path / "semicolons", GOOD, header=official.ONLINE_RETAIL_HEADER.replace(",", ";")),
            "",
            "column InvoiceNo or Invoice, StockCode, Description, Quantity, InvoiceDate, UnitPrice or Price,"
            " CustomerID or Customer ID, Country is missing",
        ),
        (
            write(tmp_path / "header", GOOD, header="Bill" + official.ONLINE_RETAIL_HEADER),
            "",
            "column InvoiceNo or Invoice is missing",
        ),
        (utf8, "latin-1", "file data.csv is valid UTF-8"),
        (SAMPLE, "utf-8", "file data.csv is not valid UTF-8"),
        (utf8, "cp1252", 'ONLINE_RETAIL_ENCODING is "cp1252"'),
    ]
    for folder, encoding, message in cases:
        environment = {"ONLINE_RETAIL_ENCODING": encoding} if encoding else {}
        outcome = run(dbt, folder, **environment)
        assert not outcome.ok, message
        for told in (str(folder), "ONLINE_RETAIL_DATA", message):
            assert told in outcome.output, outcome.output
        assert marts(dbt) == before
    assert run(dbt, utf8, ONLINE_RETAIL_ENCODING="utf-8").ok


@pytest.mark.slow
def test_a_day_first_file_is_told_and_never_guessed(dbt, tmp_path):
    assert run(dbt, SAMPLE).ok
    before = marts(dbt)
    lines = [GOOD.replace("12/1/2010", f"{day}/12/2010") for day in range(1, 32)]
    folder = write(tmp_path / "data", *lines)
    outcome = run(dbt, folder, without=("unit_test",))
    assert not outcome.ok
    assert "online_retail_rejected_rows_within_limit" in outcome.output
    assert "19 rejected rows of data.csv can be read with day and month exchanged" in outcome.output
    assert "online_retail_day_first" in outcome.output
    assert marts(dbt) == before
    outcome = run(dbt, folder, "--vars", "{online_retail_day_first: true}")
    assert outcome.ok, outcome.output
    assert dbt.query(
        "select count(*), min(invoice_date)::varchar, max(invoice_date)::varchar from online_retail.fct_sales"
    ) == [(31, "2010-12-01", "2010-12-31")]


# The tests of the verified figures, and for each a fault and the figures that it changes.
COMPLETE_FILE = {
    "assert_the_complete_online_retail_file_is_as_published": (
        "update online_retail.fct_sales set line_amount = line_amount + 0.001"
        " where rowid = (select min(rowid) from online_retail.fct_sales)",
        ["sale amount"],
    ),
    "assert_the_reports_of_the_complete_online_retail_file_are_as_verified": (
        "update reports.rpt_cohort_retention set active_customers = active_customers + 1"
        " where cohort_month = '2010-12-01' and months_since_first = 1",
        ["back after 1 months"],
    ),
}


@pytest.mark.slow
@needs_the_real_file
def test_the_complete_real_file_is_as_published(dbt):
    complete = ("--vars", "{online_retail_complete: true}")
    outcome = dbt.build(*complete, ONLINE_RETAIL_DATA=str(REAL_FILE.parent.resolve()), **WITH_ARTIFACTS)
    assert outcome.ok, outcome.output
    for name in COMPLETE_FILE:
        assert f"PASS {name}" in outcome.output
    assert "WARN=0 ERROR=0 SKIP=0" in outcome.output
    assert dbt.reconciliation("online_retail")["data.csv.gz"] == [541_909, 541_909, 0]
    assert dbt.query("select count(*) from online_retail.invoice_lines where description like '%£%'")[0][0] > 0
    # The tests of the figures can fail: one penny, one customer is enough.
    nodes = json.loads((dbt.target / "manifest.json").read_text())["nodes"].values()
    compiled = {node["name"]: node["compiled_code"] for node in nodes if node["name"] in COMPLETE_FILE}
    with duckdb.connect(str(dbt.warehouse)) as connection:
        for name, (statement, figures) in COMPLETE_FILE.items():
            connection.begin()
            connection.execute(statement)
            assert [row[0] for row in connection.execute(compiled[name]).fetchall()] == figures
            connection.rollback()

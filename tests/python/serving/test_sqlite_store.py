"""The serving store in a file: many processes, and disks that fail."""

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

import pytest
from conftest import PROJECT
from shared.serving_lines import NOON, line

from retail_warehouse.serving import sqlite_store
from retail_warehouse.serving.sqlite_store import SqliteStore
from retail_warehouse.serving.store import Invoice, Line, StoreError, Total


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

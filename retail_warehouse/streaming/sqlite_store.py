"""The serving store as one SQLite file, for one machine."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from retail_warehouse.streaming.serving import UNKNOWN, Invoice, Line, StoreError, check_money, file_order

SCHEMA_VERSION = 2
PATIENCE = 30.0  # seconds that a writer waits for another one

_SUM_AGAIN = f"""
delete from invoices where customer_id = {{line}}.customer_id and invoice_no = {{line}}.invoice_no;
insert into invoices
select
    customer_id, invoice_no, min(invoiced_at),
    count(*), sum(quantity), sum(line_amount / 1000), sum(line_amount % 1000)
from lines
where customer_id = {{line}}.customer_id and invoice_no = {{line}}.invoice_no and customer_id <> '{UNKNOWN}'
group by customer_id, invoice_no;
"""
_SCHEMA = (
    """
    create table lines (
        invoice_line_id text primary key not null,
        invoice_no text not null,
        stock_code text not null,
        customer_id text not null,
        description text,
        country text not null,
        transaction_type text not null,
        quantity integer not null,
        unit_price integer not null,  -- thousandths of GBP
        line_amount integer not null,  -- thousandths of GBP
        invoiced_at text not null  -- ISO 8601, which sorts as the times do
    )
    """,
    "create index lines_by_transaction on lines (invoice_no, stock_code)",
    f"create index lines_by_invoice on lines (customer_id, invoice_no) where customer_id <> '{UNKNOWN}'",
    # What each customer's invoices add up to: some customers have thousands of lines. Pounds and the rest apart, since
    # ten lines of the largest amount would overflow a sum of thousandths.
    """
    create table invoices (
        customer_id text not null,
        invoice_no text not null,
        invoiced_at text not null,
        line_count integer not null,
        quantity integer not null,
        pounds integer not null,
        thousandths integer not null,
        primary key (customer_id, invoice_no)
    ) without rowid
    """,
    f"""
    create trigger line_added after insert on lines when new.customer_id <> '{UNKNOWN}' begin
        insert into invoices
        values (
            new.customer_id, new.invoice_no, new.invoiced_at,
            1, new.quantity, new.line_amount / 1000, new.line_amount % 1000
        )
        on conflict do update set
            invoiced_at = min(invoiced_at, excluded.invoiced_at),
            line_count = line_count + 1,
            quantity = quantity + excluded.quantity,
            pounds = pounds + excluded.pounds,
            thousandths = thousandths + excluded.thousandths;
    end
    """,
    f"create trigger line_removed after delete on lines begin {_SUM_AGAIN.format(line='old')} end",
    f"""
    create trigger line_replaced after update on lines begin
        {_SUM_AGAIN.format(line="old")} {_SUM_AGAIN.format(line="new")}
    end
    """,
    f"pragma user_version = {SCHEMA_VERSION}",
)
# A line that is there as it is costs no write: publishing the same lines again leaves the file alone.
_PUT = """
insert into lines values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (invoice_line_id) do update set
    (invoice_no, stock_code, customer_id, description, country, transaction_type,
     quantity, unit_price, line_amount, invoiced_at)
    = (excluded.invoice_no, excluded.stock_code, excluded.customer_id, excluded.description, excluded.country,
       excluded.transaction_type, excluded.quantity, excluded.unit_price, excluded.line_amount, excluded.invoiced_at)
where
    (lines.invoice_no, lines.stock_code, lines.customer_id, lines.description, lines.country, lines.transaction_type,
     lines.quantity, lines.unit_price, lines.line_amount, lines.invoiced_at)
    is not
    (excluded.invoice_no, excluded.stock_code, excluded.customer_id, excluded.description, excluded.country,
     excluded.transaction_type, excluded.quantity, excluded.unit_price, excluded.line_amount, excluded.invoiced_at)
"""
LINES = """
select
    invoice_line_id, invoice_no, stock_code, customer_id, description, country, transaction_type,
    quantity, unit_price, line_amount, invoiced_at
from lines
where invoice_no = ? and stock_code = ?
"""
INVOICES = """
select invoice_no, invoiced_at, line_count, quantity, pounds, thousandths
from invoices
where customer_id = ?
order by invoiced_at, invoice_no
"""
_ADVICE = {
    "SQLITE_BUSY": f"Another process has been writing for {PATIENCE:.0f} s; try again when it is done.",
    "SQLITE_CANTOPEN": "It must be a file, or missing, in a folder in which this user may write.",
    "SQLITE_CORRUPT": "Move the file away and fill a new one from the warehouse.",
    "SQLITE_FULL": "Free space there, or name a file on a larger disk.",
    "SQLITE_NOTADB": "It is no SQLite file; name another one, or move it away and fill a new one from the warehouse.",
    "SQLITE_PERM": "This user must be allowed to write the file and its folder.",
    "SQLITE_READONLY": "This user must be allowed to write the file and its folder.",
}


class SqliteStore:
    """A ``ServingStore`` in one SQLite file, which several processes may have open, each after it was forked.

    Readers never wait for a writer (write-ahead log); writers wait for each other, up to ``PATIENCE``. One customer has
    no invoices to look up, as in every store: ``Unknown``, which is not a customer but a quarter of all lines.

    Args:
        path: The file, on a local disk; made if missing, as its folder is. SQLite keeps ``<path>-wal`` and
            ``<path>-shm`` beside it.

    Raises:
        StoreError: It cannot be opened, or is no file of this version.
    """

    is_local = True

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        self._path = path.absolute()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The folder of the serving store {self._path} cannot be made: {error.strerror}. Name a file in a "
                "folder in which this user may write."
            ) from error
        with contextlib.ExitStack() as opened, self._told():
            self._writer = opened.enter_context(contextlib.closing(self._connect()))
            is_made = self._is_made()  # before another program's file is changed
            self._write_ahead()
            if not is_made:
                self._make()
            self._reader = opened.enter_context(contextlib.closing(self._connect()))
            self._reader.execute("pragma query_only = on")
            opened.pop_all()

    def put(self, lines: Iterable[Line]) -> None:
        """Store lines, all or none; one that is there already, by its ``invoice_line_id``, is replaced.

        They are on the disk on return. ``lines`` is read while other writers wait.

        Raises:
            StoreError: The file cannot be written.
            ValueError: A line has no number in its id, or money that is not a whole number of thousandths.
        """
        with self._transaction() as connection:
            connection.executemany(_PUT, map(_row, lines))

    def lines(self, invoice_no: str, stock_code: str) -> Sequence[Line]:
        """The lines of a transaction in file order, empty if there is none.

        Raises:
            StoreError: The file cannot be read.
        """
        rows = self._rows(LINES, (invoice_no, stock_code))
        rows.sort(key=lambda row: file_order(row[0]))
        return [
            Line(*texts, quantity, _money(unit_price), _money(line_amount), datetime.fromisoformat(invoiced_at))
            for *texts, quantity, unit_price, line_amount, invoiced_at in rows
        ]

    def invoices(self, customer_id: str) -> Sequence[Invoice]:
        """The invoices of a customer in order of ``(invoiced_at, invoice_no)``, empty if there is none.

        Raises:
            StoreError: The file cannot be read.
        """
        return [
            Invoice(invoice_no, datetime.fromisoformat(invoiced_at), count, quantity, _money(1000 * pounds + rest))
            for invoice_no, invoiced_at, count, quantity, pounds, rest in self._rows(INVOICES, (customer_id,))
        ]

    def remove(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Remove lines, each by its ``invoice_no``, ``stock_code`` and ``invoice_line_id``, all or none.

        Raises:
            StoreError: The file cannot be written.
        """
        statement = "delete from lines where (invoice_no, stock_code, invoice_line_id) = (?, ?, ?)"
        with self._transaction() as connection:
            connection.executemany(statement, keys)

    def keep_only(self, invoice_line_ids: Iterable[str]) -> int:
        """Remove every line that is not named, all or none, and return how many were.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._transaction() as connection:
            # Of this connection, so that no other process sees it.
            connection.execute("create temp table kept (invoice_line_id text primary key) without rowid")
            connection.executemany("insert or ignore into kept values (?)", ((key,) for key in invoice_line_ids))
            removed = connection.execute("delete from lines where invoice_line_id not in kept").rowcount
            connection.execute("drop table kept")
        return removed

    def close(self) -> None:
        """Close the file, when the writer and readers of this process are done."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple]:
        # All at once: a query left half read would keep the log from being cut.
        with self._reading, self._told():
            return self._reader.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, self._told():
            self._writer.execute("begin immediate")
            try:
                yield self._writer
                self._writer.execute("commit")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("rollback")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # Some names are longer than their kind: SQLITE_READONLY_DIRECTORY. Errors of the module have none.
            kind = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
            advice = _ADVICE.get(kind, "Open it again; if that does not help, move the file away and fill a new one.")
            raise StoreError(f"The serving store {self._path}: {error}. {advice}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma journal_size_limit = {64 << 20}")  # bytes, once what was published is merged
        return connection

    def _write_ahead(self) -> None:
        # SQLite itself does not wait for another process that does the same.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                (mode,) = self._writer.execute("pragma journal_mode = wal").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        if mode != "wal":
            raise StoreError(f"The disk of {self._path} has no write-ahead log ({mode}). Name a file on a local disk.")

    def _is_made(self) -> bool:
        # One statement, so that both are from before or after another process makes the tables.
        query = "select (select user_version from pragma_user_version), count(*) from sqlite_master"
        version, tables = self._writer.execute(query).fetchone()
        if version == SCHEMA_VERSION or (version == 0 and tables == 0):
            return version == SCHEMA_VERSION
        raise StoreError(
            f"{self._path} is a serving store of version {version}, and this program needs {SCHEMA_VERSION}, or it is "
            "another program's file. Move it away and fill a new one from the warehouse, or name another file."
        )

    def _make(self) -> None:
        with self._transaction() as connection:
            if not self._is_made():  # by another process, meanwhile
                for statement in _SCHEMA:
                    connection.execute(statement)


def _row(line: Line) -> tuple:
    file_order(line.invoice_line_id)  # or nobody could ever look it up
    return (
        line.invoice_line_id,
        line.invoice_no,
        line.stock_code,
        line.customer_id,
        line.description,
        line.country,
        line.transaction_type,
        line.quantity,
        _thousandths(line.unit_price),
        _thousandths(line.line_amount),
        line.invoiced_at.isoformat(),
    )


def _thousandths(amount: Decimal) -> int:
    return int(check_money(amount).scaleb(3))


def _money(thousandths: int) -> Decimal:
    return Decimal(thousandths).scaleb(-3)

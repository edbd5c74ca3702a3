"""The serving store as one SQLite file, for one machine."""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from retail_warehouse.serving.store import (
    UNKNOWN,
    Delivery,
    Invoice,
    Line,
    StoreError,
    Total,
    check_money,
    delivery_name,
    file_order,
    place_of,
    taken_by,
)
from retail_warehouse.streaming.landing_folder import make_private

SCHEMA_VERSION = 3
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
_LINES = """
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
        invoiced_at text not null,  -- ISO 8601, which sorts as the times do
        file_name text not null,  -- of invoice_line_id, with row_number, by which lines are ordered
        row_number integer not null
    )
"""
# What the lines of a transaction add up to, and their order, stand in the index alone.
_BY_TRANSACTION = """
    create index lines_by_transaction on lines (
        invoice_no, stock_code, file_name, row_number, quantity, line_amount
    )
"""
_BY_TIME = "create index invoices_by_time on invoices (customer_id, invoiced_at, invoice_no)"
_DELIVERIES = """
    create table deliveries (
        name text primary key not null,  -- without packing
        file_name text not null,
        last_row integer not null,
        fingerprint text not null
    ) without rowid
"""
_SCHEMA = (
    _LINES,
    _BY_TRANSACTION,
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
    _REPLACED := f"""
    create trigger line_replaced after update on lines begin
        {_SUM_AGAIN.format(line="old")} {_SUM_AGAIN.format(line="new")}
    end
    """,
    _BY_TIME,
    _DELIVERIES,
    f"pragma user_version = {SCHEMA_VERSION}",
)
# From version 2, which did not know the deliveries, nor pages.
_RENEW = (
    "drop trigger line_replaced",
    "alter table lines add column file_name text not null default ''",
    "alter table lines add column row_number integer not null default 0",
    "update lines set file_name = file_name_of(invoice_line_id), row_number = row_number_of(invoice_line_id)",
    "drop index lines_by_transaction",
    _BY_TRANSACTION,
    _REPLACED,
    _BY_TIME,
    _DELIVERIES,
    f"pragma user_version = {SCHEMA_VERSION}",
)
# A line that is there as it is costs no write: publishing the same lines again leaves the file alone.
_PUT = """
insert into lines values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
_COLUMNS = """
    invoice_line_id, invoice_no, stock_code, customer_id, description, country, transaction_type,
    quantity, unit_price, line_amount, invoiced_at
"""
# Below all that is there.
_FIRST_PLACE, _FIRST_TIME = ("", -1), ("", "")
LINES = f"""
select {_COLUMNS} from lines
where invoice_no = ? and stock_code = ? and (file_name, row_number) > (?, ?)
order by file_name, row_number
limit ?
"""
TOTAL = """
select
    count(*), coalesce(sum(quantity), 0),
    coalesce(sum(line_amount / 1000), 0), coalesce(sum(line_amount % 1000), 0)
from lines
where invoice_no = ? and stock_code = ?
"""


def _of_customer(query: str) -> str:
    """The same of one customer, whose id comes before the other values. By the customer's own invoices: how long it
    takes does not tell whether others have lines there."""
    mine = f"from lines indexed by lines_by_invoice\nwhere customer_id = ? and customer_id <> '{UNKNOWN}' and "
    return query.replace("from lines\nwhere ", mine)


LINES_OF_CUSTOMER, TOTAL_OF_CUSTOMER = map(_of_customer, (LINES, TOTAL))
INVOICES = """
select invoice_no, invoiced_at, line_count, quantity, pounds, thousandths
from invoices
where customer_id = ? and (invoiced_at, invoice_no) > (?, ?)
order by invoiced_at, invoice_no
limit ?
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
        # Long queries have a connection of their own, so that short ones do not wait for them.
        self._reading, self._reading_long, self._writing = threading.Lock(), threading.Lock(), threading.Lock()
        try:
            if not self._path.parent.is_dir():
                self._path.parent.parent.mkdir(parents=True, exist_ok=True)
                self._path.parent.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(
                f"The folder of the serving store {self._path} cannot be made: {error.strerror}. Name a file in a "
                "folder in which this user may write."
            ) from error
        # Only the owner may read what customers bought. If this fails, SQLite reports it.
        with contextlib.suppress(OSError):
            make_private(self._path)
        with contextlib.ExitStack() as opened, self._told():
            self._writer = opened.enter_context(contextlib.closing(self._connect()))
            is_made = self._version() == SCHEMA_VERSION  # before another program's file is changed
            self._write_ahead()
            if not is_made:
                self._make()
            self._reader = opened.enter_context(contextlib.closing(self._connect()))
            self._reader.execute("pragma query_only = on")
            self._long_reader = opened.enter_context(contextlib.closing(self._connect()))
            self._long_reader.execute("pragma query_only = on")
            opened.pop_all()

    def put(self, lines: Iterable[Line], streamed: bool = False) -> None:
        """Store lines, all or none; one that is there already, by its ``invoice_line_id``, is replaced.

        They are on the disk on return. ``lines`` is read while other writers wait.

        Args:
            lines: The lines.
            streamed: Skip lines whose delivery and row number belong to a file loaded in bulk.

        Raises:
            StoreError: The file cannot be written.
            ValueError: A line has no number in its id, or money that is not a whole number of thousandths.
        """
        with self._transaction() as connection:
            if streamed:
                lines = list(lines)
                taken = taken_by(self._known(connection, {place_of(line.invoice_line_id)[0] for line in lines}))
                lines = (line for line in lines if not taken(line.invoice_line_id))
            connection.executemany(_PUT, map(_row, lines))

    def holds(self, lines: Iterable[Line]) -> set[Line]:
        """Which of these lines the store already holds, unchanged.

        Raises:
            StoreError: The file cannot be read.
        """
        asked = set(lines)
        query = f"select {_COLUMNS} from lines where invoice_line_id in (select value from json_each(?))"
        ids = json.dumps(list({line.invoice_line_id for line in asked}))
        return asked.intersection(map(_line, self._rows(query, (ids,))))

    def remove(self, lines: Iterable[Line]) -> None:
        """Remove streamed lines, all or none, as far as they are there. What a delivery in bulk has in their place
        stays.

        Raises:
            StoreError: The file cannot be written.
        """
        ids = [line.invoice_line_id for line in lines]
        # A full disk can still be read, and usually none of the lines is there.
        if not self._rows(
            "select 1 from lines where invoice_line_id in (select value from json_each(?)) limit 1", (json.dumps(ids),)
        ):
            return
        with self._transaction() as connection:
            taken = taken_by(self._known(connection, {place_of(line_id)[0] for line_id in ids}))
            gone = ((line_id,) for line_id in ids if not taken(line_id))
            connection.executemany("delete from lines where invoice_line_id = ?", gone)

    def lines(
        self,
        invoice_no: str,
        stock_code: str,
        limit: int | None = None,
        after: str | None = None,
        customer_id: str | None = None,
    ) -> Sequence[Line]:
        """The lines of a transaction in file order, empty if there is none; see :class:`ServingStore`.

        Raises:
            StoreError: The file cannot be read.
        """
        place = file_order(after) if after else _FIRST_PLACE
        values: tuple[str | int, ...] = (invoice_no, stock_code, *place, -1 if limit is None else limit)
        query = LINES
        if customer_id is not None:
            query, values = LINES_OF_CUSTOMER, (customer_id, *values)
        return [_line(row) for row in self._rows(query, values)]

    def total(self, invoice_no: str, stock_code: str, customer_id: str | None = None) -> Total:
        """What all lines of a transaction, or those of a customer, add up to.

        Raises:
            StoreError: The file cannot be read.
        """
        query, values = TOTAL, (invoice_no, stock_code)
        if customer_id is not None:
            query, values = TOTAL_OF_CUSTOMER, (customer_id, *values)
        [(count, quantity, pounds, rest)] = self._rows(query, values, is_long=True)
        return Total(count, quantity, _money(1000 * pounds + rest))

    def invoices(
        self, customer_id: str, limit: int | None = None, after: tuple[datetime, str] | None = None
    ) -> Sequence[Invoice]:
        """The invoices of a customer in order of ``(invoiced_at, invoice_no)``, empty if there is none; see
        :class:`ServingStore`.

        Raises:
            StoreError: The file cannot be read.
        """
        time, invoice = (after[0].isoformat(), after[1]) if after else _FIRST_TIME
        values = (customer_id, time, invoice, -1 if limit is None else limit)
        return [
            Invoice(invoice_no, datetime.fromisoformat(invoiced_at), count, quantity, _money(1000 * pounds + rest))
            for invoice_no, invoiced_at, count, quantity, pounds, rest in self._rows(INVOICES, values)
        ]

    def remove_keys(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Remove lines, each by its ``invoice_no``, ``stock_code`` and ``invoice_line_id``, all or none.

        Raises:
            StoreError: The file cannot be written.
        """
        statement = "delete from lines where (invoice_no, stock_code, invoice_line_id) = (?, ?, ?)"
        with self._transaction() as connection:
            connection.executemany(statement, keys)

    def invoice_count(self, customer_id: str, most: int | None = None) -> int:
        """How many invoices a customer has; no more than `most` are counted.

        Raises:
            StoreError: The file cannot be read.
        """
        query = "select count(*) from (select 1 from invoices where customer_id = ? limit ?)"
        return self._rows(query, (customer_id, -1 if most is None else most), is_long=most is None)[0][0]

    def deliveries(self, names: Collection[str] | None = None) -> dict[str, Delivery]:
        """The deliveries that were loaded in bulk, by their names without packing; those of some names, or all.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._reading, self._told():
            return self._known(self._reader, names)

    def set_delivery(self, delivery: Delivery) -> None:
        """Note a delivery, in place of one of the same name.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._transaction() as connection:
            connection.execute(
                "insert or replace into deliveries values (?, ?, ?, ?)",
                (delivery_name(delivery.file_name), delivery.file_name, delivery.last_row, delivery.fingerprint),
            )

    def drop_delivery(self, name: str) -> None:
        """Forget a delivery, by its name without packing; its lines stay.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._transaction() as connection:
            connection.execute("delete from deliveries where name = ?", (name,))

    def keep_only(self, invoice_line_ids: Iterable[str], of: Collection[str] | None = None) -> int:
        """Remove every line that is not named, all or none, and return how many were; see :class:`ServingStore`.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._transaction() as connection:
            # Of this connection, so that no other process sees it.
            connection.execute("create temp table kept (invoice_line_id text primary key) without rowid")
            connection.executemany("insert or ignore into kept values (?)", ((key,) for key in invoice_line_ids))
            delete = "delete from lines where invoice_line_id not in kept"
            if of is not None:
                connection.create_function("is_taken", 1, taken_by(self._known(connection, of)), deterministic=True)
                delete += " and is_taken(invoice_line_id)"
            removed = connection.execute(delete).rowcount
            connection.execute("drop table kept")
        return removed

    def close(self) -> None:
        """Close the file, when the writer and readers of this process are done."""
        with self._writing, self._reading, self._reading_long:
            self._reader.close()
            self._long_reader.close()
            self._writer.close()

    @staticmethod
    def _known(connection: sqlite3.Connection, names: Collection[str] | None) -> dict[str, Delivery]:
        query, values = "select name, file_name, last_row, fingerprint from deliveries", ()
        if names is not None:
            query, values = f"{query} where name in (select value from json_each(?))", (json.dumps(list(names)),)
        return {name: Delivery(*rest) for name, *rest in connection.execute(query, values).fetchall()}

    def _rows(self, query: str, values: tuple[str | int, ...], is_long: bool = False) -> list[tuple]:
        # Read everything at once: an open query would keep SQLite from truncating the log.
        lock, reader = (self._reading_long, self._long_reader) if is_long else (self._reading, self._reader)
        with lock, self._told():
            return reader.execute(query, values).fetchall()

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
        connection.execute("pragma fullfsync = on")  # for macOS, where the disk keeps in its memory what was synced
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

    def _version(self) -> int:
        # One statement, so that both are from before or after another process makes the tables.
        query = "select (select user_version from pragma_user_version), count(*) from sqlite_master"
        version, tables = self._writer.execute(query).fetchone()
        if version in (SCHEMA_VERSION - 1, SCHEMA_VERSION) or (version == 0 and tables == 0):
            return version
        raise StoreError(
            f"{self._path} is a serving store of version {version}, and this program needs {SCHEMA_VERSION}, or it is "
            "another program's file. Move it away and fill a new one from the warehouse, or name another file."
        )

    def _make(self) -> None:
        with self._transaction() as connection:
            version = self._version()  # another process may have made it meanwhile
            connection.create_function("file_name_of", 1, lambda text: file_order(text)[0], deterministic=True)
            connection.create_function("row_number_of", 1, lambda text: file_order(text)[1], deterministic=True)
            if version != SCHEMA_VERSION:
                for statement in _RENEW if version else _SCHEMA:
                    connection.execute(statement)


def _line(row: Sequence) -> Line:
    *texts, quantity, unit_price, line_amount, invoiced_at = row
    return Line(*texts, quantity, _money(unit_price), _money(line_amount), datetime.fromisoformat(invoiced_at))


def _row(line: Line) -> tuple:
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
        *file_order(line.invoice_line_id),
    )


def _thousandths(amount: Decimal) -> int:
    return int(check_money(amount).scaleb(3))


def _money(thousandths: int) -> Decimal:
    return Decimal(thousandths).scaleb(-3)

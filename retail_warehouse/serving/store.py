"""The serving store: where the API looks up transactions. Nobody who asks it ever holds the warehouse file."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

# No customer, but a quarter of all lines: its invoices cannot be looked up in any store.
UNKNOWN = "Unknown"
_LIMIT = 10**15  # GBP, as numeric(18, 3) in the warehouse; a thousandth of it fits in 64 bits


@dataclass(frozen=True, slots=True)
class Line:
    """An accepted invoice line, with the columns of ``online_retail.invoice_lines``.

    Args:
        invoice_line_id: Delivery and number of the line, such as ``data.csv:2``; the key.
        invoice_no: Invoice, upper case.
        stock_code: Stock code, upper case.
        customer_id: Customer, or ``Unknown``.
        description: Text of the line, if any.
        country: Country of the customer, or ``Unspecified``.
        transaction_type: ``sale``, ``cancellation``, ``bad_debt``, ``stock_adjustment`` or ``free_item``.
        quantity: Pieces; below 0 for what goes back.
        unit_price: GBP, with three decimals.
        line_amount: GBP, with three decimals.
        invoiced_at: As in the source, without a time zone.
    """

    invoice_line_id: str
    invoice_no: str
    stock_code: str
    customer_id: str
    description: str | None
    country: str
    transaction_type: str
    quantity: int
    unit_price: Decimal
    line_amount: Decimal
    invoiced_at: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a customer's lines of one invoice add up to.

    Args:
        invoice_no: Invoice.
        invoiced_at: The earliest of its lines.
        line_count: Its lines.
        quantity: Pieces of all lines.
        amount: GBP of all lines, with three decimals.
    """

    invoice_no: str
    invoiced_at: datetime
    line_count: int
    quantity: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Total:
    """What all lines of a transaction add up to.

    Args:
        line_count: Its lines.
        quantity: Pieces of all lines.
        amount: GBP of all lines, with three decimals.
    """

    line_count: int
    quantity: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that was loaded in bulk. Its rows, from 2 to the last, are its own: no streamed line takes the place of
    one, whether the warehouse has accepted that row or not.

    Args:
        file_name: As the warehouse has it, such as ``data.csv.gz``.
        last_row: Number of its last row, or 1 where it has none.
        fingerprint: What tells its content from another; empty while its lines are being published.
    """

    file_name: str
    last_row: int
    fingerprint: str


class ServingStore(Protocol):
    """Stores accepted lines and finds them by what customers ask for. Safe to use from several threads and
    processes.

    Attributes:
        is_local: Whether it answers from this machine, in less time than it takes to find a thread.
    """

    is_local: bool

    def put(self, lines: Iterable[Line], streamed: bool = False) -> None:
        """Store lines; one that is there already, by its ``invoice_line_id``, is replaced. Durable on return.

        Args:
            lines: The lines.
            streamed: Skip lines whose delivery and row number belong to a file loaded in bulk.

        Raises:
            ValueError: An id without a number, or money that is not a whole number of thousandths.
            StoreError: The store cannot be written; some of the lines may have been.
        """
        ...

    def holds(self, lines: Iterable[Line]) -> set[Line]:
        """Which of these lines the store already holds, unchanged.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def remove(self, lines: Iterable[Line]) -> None:
        """Remove streamed lines, as far as they are there. What a delivery in bulk has in their place stays.

        Raises:
            StoreError: The store cannot be written; some of the lines may have been removed.
        """
        ...

    def lines(
        self,
        invoice_no: str,
        stock_code: str,
        limit: int | None = None,
        after: str | None = None,
        customer_id: str | None = None,
    ) -> Sequence[Line]:
        """The lines of a transaction in order of ``(delivery, number)`` of their ids, empty if there is none.

        Args:
            invoice_no: Invoice.
            stock_code: Stock code.
            limit: Most lines; all without it.
            after: Id of a line; only those that come after it.
            customer_id: Only the lines of this customer.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def total(self, invoice_no: str, stock_code: str, customer_id: str | None = None) -> Total:
        """What all lines of a transaction, or those of a customer, add up to. Takes longer than a page of lines.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def invoices(
        self, customer_id: str, limit: int | None = None, after: tuple[datetime, str] | None = None
    ) -> Sequence[Invoice]:
        """The invoices of a customer in order of ``(invoiced_at, invoice_no)``, empty if there is none.

        Args:
            customer_id: Customer.
            limit: Most invoices; all without it.
            after: ``(invoiced_at, invoice_no)``; only those that come after it.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def remove_keys(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Remove lines, each by its ``invoice_no``, ``stock_code`` and ``invoice_line_id``, where they are there.

        Raises:
            StoreError: The store cannot be written; some of the lines may have been removed.
        """
        ...

    def invoice_count(self, customer_id: str, most: int | None = None) -> int:
        """How many invoices a customer has. Takes longer than a page of invoices where it is not limited.

        Args:
            customer_id: Customer.
            most: No more are counted.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def deliveries(self, names: Collection[str] | None = None) -> dict[str, Delivery]:
        """The deliveries that were loaded in bulk, by their names without packing (see :func:`delivery_name`).

        Args:
            names: Those alone; all without it.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def set_delivery(self, delivery: Delivery) -> None:
        """Record a delivery. It replaces one of the same name.

        Raises:
            StoreError: The store cannot be written.
        """
        ...

    def drop_delivery(self, name: str) -> None:
        """Forget a delivery, by its name without ``.gz``. Its lines stay.

        Raises:
            StoreError: The store cannot be written.
        """
        ...

    def keep_only(self, invoice_line_ids: Iterable[str], of: Collection[str] | None = None) -> int:
        """Remove every line that is not named, and return how many were.

        Args:
            invoice_line_ids: The lines to keep.
            of: Names of deliveries without packing: remove lines of their rows alone.

        Raises:
            StoreError: The store cannot be written; some of the lines may have been removed.
        """
        ...

    def close(self) -> None:
        """Release the connections and files that the store holds."""
        ...


class StoreError(Exception):
    """The serving store does not answer. The message names it and says what to do."""


def check_money(amount: Decimal) -> Decimal:
    """An amount that a store can hold exactly.

    Args:
        amount: GBP.

    Raises:
        ValueError: It is not a whole number of thousandths, or too large.
    """
    if not amount.is_finite() or abs(amount) >= _LIMIT or amount != round(amount, 3):
        raise ValueError(f"{amount} GBP has more than three decimals or fifteen digits before them.")
    return amount


def file_order(invoice_line_id: str) -> tuple[str, int]:
    """Delivery and number of a line, by which lines are ordered everywhere."""
    delivery, _, number = invoice_line_id.rpartition(":")
    return delivery, int(number)


def delivery_name(file_name: str) -> str:
    """The name of a delivery, packed or not; as the macro ``delivery_name`` has it."""
    return file_name[:-3] if file_name[-3:].lower() == ".gz" else file_name


def place_of(invoice_line_id: str) -> tuple[str, int]:
    """Delivery (without ``.gz``) and row number of a line. Lines with the same place are the same row."""
    file_name, number = file_order(invoice_line_id)
    return delivery_name(file_name), number


def taken_by(deliveries: Mapping[str, Delivery]) -> Callable[[str], bool]:
    """A function that says whether a row of one of these deliveries already has the place of a line."""

    def is_taken(invoice_line_id: str) -> bool:
        name, number = place_of(invoice_line_id)
        return name in deliveries and number <= deliveries[name].last_row

    return is_taken

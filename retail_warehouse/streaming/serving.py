"""The serving store: where the API looks up transactions. Nobody who asks it ever holds the warehouse file."""

from collections.abc import Iterable, Sequence
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


class ServingStore(Protocol):
    """Stores accepted lines and finds them by what customers ask for. Safe to use from several threads and
    processes.

    Attributes:
        is_local: Whether it answers from this machine, in less time than it takes to find a thread.
    """

    is_local: bool

    def put(self, lines: Iterable[Line]) -> None:
        """Store lines; one that is there already, by its ``invoice_line_id``, is replaced. Durable on return.

        Raises:
            ValueError: An id without a number, or money that is not a whole number of thousandths.
            StoreError: The store cannot be written; some of the lines may have been.
        """
        ...

    def lines(self, invoice_no: str, stock_code: str) -> Sequence[Line]:
        """The lines of a transaction in order of ``(delivery, number)`` of their ids, empty if there is none.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def invoices(self, customer_id: str) -> Sequence[Invoice]:
        """The invoices of a customer in order of ``(invoiced_at, invoice_no)``, empty if there is none.

        Raises:
            StoreError: The store cannot be read.
        """
        ...

    def remove(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Remove lines, each by its ``invoice_no``, ``stock_code`` and ``invoice_line_id``, where they are there.

        Raises:
            StoreError: The store cannot be written; some of the lines may have been removed.
        """
        ...

    def keep_only(self, invoice_line_ids: Iterable[str]) -> int:
        """Remove every line that is not named, and return how many were.

        Raises:
            StoreError: The store cannot be written; some of the lines may have been removed.
        """
        ...

    def close(self) -> None:
        """Give back what the store holds open."""
        ...


class StoreError(Exception):
    """The serving store does not answer; the message names it and says what to do."""


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

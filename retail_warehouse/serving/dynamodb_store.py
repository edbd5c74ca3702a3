"""The serving store as one DynamoDB table, for services on AWS."""

import heapq
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from retail_warehouse.serving.dynamodb_table import DynamoDbTable, batches
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

INDEX = "by_customer"
_WHAT = "The serving store"  # in messages
_KEY_BYTES = 2048  # the longest partition key
_DELIVERIES = "deliveries"  # the partition of the deliveries; a transaction has a # in its key


class DynamoDbStore:
    """A ``ServingStore`` in one DynamoDB table, which ``create_table`` makes.

    An item is a line. ``transaction``, the partition key, is its invoice and stock code; ``invoice_line_id``, the sort
    key, tells apart the lines that share them. The index ``by_customer`` holds what invoices are made of. It leaves out
    the lines of ``Unknown``, which is not a customer but a quarter of all lines, and would be one hot partition: their
    items have no ``customer_id``. So, as in every store, ``Unknown`` has no invoices to look up.

    ``lines`` sees every ``put`` that has returned. ``invoices`` sees it a moment later, as indexes of DynamoDB do.

    Do not ``put`` a known line under another invoice or stock code: it is another item, and the old one stays until
    ``keep_only``, which keeps the last of them by the clocks of the writers. A line of a delivery does not change, so
    this happens only where a delivery was replaced.

    A call waits for the network; an event loop must not. The store is safe to use from several threads.

    Args:
        table_name: The table.
        client: A boto3 client for DynamoDB, which stays the caller's; by default one of the environment's region and
            credentials.

    Raises:
        StoreError: The environment has no region.
    """

    is_local = False

    def __init__(self, table_name: str, client: Any = None) -> None:
        """Name the table; nothing is asked of it yet."""
        self._table = DynamoDbTable(_WHAT, table_name, StoreError, client)

    def put(self, lines: Iterable[Line], streamed: bool = False) -> None:
        """Store lines; one that is there already, by its ``invoice_line_id`` and transaction, is replaced.

        They are written in batches of 25, one after the other, or those of a stream several at once. On return all are
        durable.

        Args:
            lines: The lines.
            streamed: Skip lines whose delivery and row number belong to a file loaded in bulk. Lines written while a
                delivery is being recorded are removed by the next ``keep_only``.

        Raises:
            StoreError: The table cannot be written; some of the lines may have been.
            ValueError: A line has no number in its id, or money that is not a whole number of thousandths; some of the
                lines before it may have been written.
        """
        if streamed:
            self._table.write_all(batches(_puts(self._of_streams(lines))))
            return
        for batch in batches(lines):
            self._table.write(_puts(batch))

    def _of_streams(self, lines: Iterable[Line]) -> list[Line]:
        lines = list(lines)
        taken = taken_by(self.deliveries({place_of(line.invoice_line_id)[0] for line in lines}))
        return [line for line in lines if not taken(line.invoice_line_id)]

    def holds(self, lines: Iterable[Line]) -> set[Line]:
        """Which of these lines the store already holds, unchanged.

        Raises:
            StoreError: The table cannot be read.
        """
        asked = set(lines)
        # DynamoDB refuses a batch that names an item twice.
        keys = {(line.invoice_line_id, line.invoice_no, line.stock_code): _key_of(line) for line in asked}
        return asked.intersection(map(_line, self._table.items_of(keys.values())))

    def remove(self, lines: Iterable[Line]) -> None:
        """Remove streamed lines, as far as they are there. What a delivery in bulk has in their place stays.

        Raises:
            StoreError: The table cannot be written; some of the lines may have been removed.
        """
        for batch in batches({line.invoice_line_id: line for line in self._of_streams(lines)}.values()):
            self._table.write([{"DeleteRequest": {"Key": _key_of(line)}} for line in batch])

    def lines(
        self,
        invoice_no: str,
        stock_code: str,
        limit: int | None = None,
        after: str | None = None,
        customer_id: str | None = None,
    ) -> Sequence[Line]:
        """The lines of a transaction in file order, empty if there is none; see ``ServingStore``. All are read, and no
        more than the limit kept.

        Raises:
            StoreError: The table cannot be read.
        """
        beyond = file_order(after) if after else ("", -1)
        items = (
            item
            for item in self._lines_of(invoice_no, stock_code, customer_id)
            if file_order(item["invoice_line_id"]["S"]) > beyond
        )

        def order(item: dict) -> tuple[str, int]:
            return file_order(item["invoice_line_id"]["S"])

        return list(map(_line, sorted(items, key=order) if limit is None else heapq.nsmallest(limit, items, order)))

    def total(self, invoice_no: str, stock_code: str, customer_id: str | None = None) -> Total:
        """What all lines of a transaction, or those of a customer, add up to.

        Raises:
            StoreError: The table cannot be read.
        """
        count, quantity, amount = 0, 0, Decimal("0.000")
        for item in self._lines_of(invoice_no, stock_code, customer_id):
            count += 1
            quantity += int(item["quantity"]["N"])
            amount += _money(item["line_amount"])
        return Total(count, quantity, amount)

    def _lines_of(self, invoice_no: str, stock_code: str, customer_id: str | None) -> Iterator[dict]:
        transaction = _transaction(invoice_no, stock_code)
        if len(transaction.encode(errors="replace")) > _KEY_BYTES:  # which DynamoDB refuses to look for
            return
        # By the table itself, so that an answer is no larger for what is left out.
        chosen = {} if customer_id is None else {"FilterExpression": "customer_id = :customer"}
        values = {} if customer_id is None else {":customer": {"S": customer_id}}
        yield from self._table.items(
            "query",
            KeyConditionExpression="#key = :key",
            ExpressionAttributeNames={"#key": "transaction"},
            ExpressionAttributeValues={":key": {"S": transaction}} | values,
            ConsistentRead=True,
            **chosen,
        )

    def invoices(
        self, customer_id: str, limit: int | None = None, after: tuple[datetime, str] | None = None
    ) -> Sequence[Invoice]:
        """The invoices of a customer in order of ``(invoiced_at, invoice_no)``, empty if there is none; see
        ``ServingStore``.

        Raises:
            StoreError: The table cannot be read.
        """
        found = [
            invoice
            for invoice in self._invoices_of(customer_id)
            if after is None or (invoice.invoiced_at, invoice.invoice_no) > after
        ]
        return sorted(found, key=lambda invoice: (invoice.invoiced_at, invoice.invoice_no))[:limit]

    def invoice_count(self, customer_id: str, most: int | None = None) -> int:
        """How many invoices a customer has; no more than `most` are told.

        Raises:
            StoreError: The table cannot be read.
        """
        count = len(self._invoices_of(customer_id))
        return count if most is None else min(count, most)

    def _invoices_of(self, customer_id: str) -> Collection[Invoice]:
        if customer_id == UNKNOWN or not 0 < len(customer_id.encode(errors="replace")) <= _KEY_BYTES:
            return []
        invoices: dict[str, Invoice] = {}
        for item in self._table.items(
            "query",
            IndexName=INDEX,
            KeyConditionExpression="#key = :key",
            ExpressionAttributeNames={"#key": "customer_id"},
            ExpressionAttributeValues={":key": {"S": customer_id}},
        ):
            invoice_no, invoiced_at = item["invoice_no"]["S"], datetime.fromisoformat(item["invoiced_at"]["S"])
            sums = invoices.get(invoice_no) or Invoice(invoice_no, invoiced_at, 0, 0, Decimal("0.000"))
            invoices[invoice_no] = Invoice(
                invoice_no,
                min(sums.invoiced_at, invoiced_at),
                sums.line_count + 1,
                sums.quantity + int(item["quantity"]["N"]),
                sums.amount + _money(item["line_amount"]),
            )
        return invoices.values()

    def remove_keys(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Remove lines, each by its ``invoice_no``, ``stock_code`` and ``invoice_line_id``, where they are there.

        Raises:
            StoreError: The table cannot be written; some of the lines may have been removed.
        """
        items = {(_transaction(invoice_no, stock_code), line) for invoice_no, stock_code, line in keys}
        self._delete(items)

    def deliveries(self, names: Collection[str] | None = None) -> dict[str, Delivery]:
        """The deliveries that were loaded in bulk, by their names without packing; those of some names, or all.

        Raises:
            StoreError: The table cannot be read.
        """
        if names is None:
            items = self._table.items(
                "query",
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": "transaction"},
                ExpressionAttributeValues={":key": {"S": _DELIVERIES}},
                ConsistentRead=True,
            )
        else:
            items = self._table.items_of([_key_of_delivery(name) for name in names])
        return {
            item["invoice_line_id"]["S"]: Delivery(
                item["file_name"]["S"], int(item["last_row"]["N"]), item["fingerprint"]["S"]
            )
            for item in items
        }

    def set_delivery(self, delivery: Delivery) -> None:
        """Note a delivery, in place of one of the same name.

        Raises:
            StoreError: The table cannot be written.
        """
        item = _key_of_delivery(delivery_name(delivery.file_name)) | {
            "file_name": {"S": delivery.file_name},
            "last_row": {"N": str(delivery.last_row)},
            "fingerprint": {"S": delivery.fingerprint},
        }
        self._table.write([{"PutRequest": {"Item": item}}])

    def drop_delivery(self, name: str) -> None:
        """Forget a delivery, by its name without packing; its lines stay.

        Raises:
            StoreError: The table cannot be written.
        """
        self._table.write([{"DeleteRequest": {"Key": _key_of_delivery(name)}}])

    def keep_only(self, invoice_line_ids: Iterable[str], of: Collection[str] | None = None) -> int:
        """Remove every line that is not named, and return how many were; see ``ServingStore``.

        Reads the whole table. Items that an earlier ``put`` has left of a line are removed too, and not counted. What
        others put meanwhile is removed unless it is named.

        Raises:
            StoreError: The table cannot be written; some of the lines may have been removed.
        """
        kept, removed = set(invoice_line_ids), set()
        latest: dict[str, tuple[int, str]] = {}  # time of the put, and transaction
        is_meant = (lambda line: True) if of is None else taken_by(self.deliveries(of))

        def old_keys() -> Iterator[tuple[str, str]]:
            for item in self._table.items(
                "scan",
                ProjectionExpression="#key, invoice_line_id, put_at",
                ExpressionAttributeNames={"#key": "transaction"},
                ConsistentRead=True,
            ):
                if item["transaction"]["S"] == _DELIVERIES or not is_meant(item["invoice_line_id"]["S"]):
                    continue
                line, this = item["invoice_line_id"]["S"], (int(item["put_at"]["N"]), item["transaction"]["S"])
                if line not in kept:
                    removed.add(line)
                    yield this[1], line
                elif line in latest:
                    older, latest[line] = sorted((this, latest[line]))
                    yield older[1], line
                else:
                    latest[line] = this

        self._delete(old_keys())
        return len(removed)

    def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        self._table.close()

    def _delete(self, items: Iterable[tuple[str, str]]) -> None:
        for batch in batches(items):
            keys = [{"transaction": {"S": transaction}, "invoice_line_id": {"S": line}} for transaction, line in batch]
            self._table.write([{"DeleteRequest": {"Key": key}} for key in keys])


def create_table(client: Any, name: str) -> None:
    """Make the table of a store, paid per request, and wait until it can be used.

    Args:
        client: A boto3 client for DynamoDB.
        name: The table.

    Raises:
        StoreError: It cannot be made, or exists.
    """
    texts = ("transaction", "invoice_line_id", "customer_id", "invoice_no")
    DynamoDbTable(_WHAT, name, StoreError, client).create(
        AttributeDefinitions=[{"AttributeName": text, "AttributeType": "S"} for text in texts],
        KeySchema=_key("transaction", "invoice_line_id"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": _key("customer_id", "invoice_no"),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["invoiced_at", "quantity", "line_amount"],
                },
            }
        ],
    )


def _key(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _key_of(line: Line) -> dict[str, dict[str, str]]:
    transaction = _transaction(line.invoice_no, line.stock_code)
    return {"transaction": {"S": transaction}, "invoice_line_id": {"S": line.invoice_line_id}}


def _key_of_delivery(name: str) -> dict[str, dict[str, str]]:
    return {"transaction": {"S": _DELIVERIES}, "invoice_line_id": {"S": name}}


def _transaction(invoice_no: str, stock_code: str) -> str:
    """A text that no other pair has: the first ``#`` ends the invoice."""
    return invoice_no.replace("%", "%25").replace("#", "%23") + "#" + stock_code


def _item(line: Line, put_at: int) -> dict[str, dict[str, str]]:
    file_order(line.invoice_line_id)  # or nobody could ever look it up
    item = {
        "transaction": {"S": _transaction(line.invoice_no, line.stock_code)},
        "invoice_line_id": {"S": line.invoice_line_id},
        "invoice_no": {"S": line.invoice_no},
        "stock_code": {"S": line.stock_code},
        "country": {"S": line.country},
        "transaction_type": {"S": line.transaction_type},
        "quantity": {"N": str(line.quantity)},
        "unit_price": {"N": _number(line.unit_price)},
        "line_amount": {"N": _number(line.line_amount)},
        "invoiced_at": {"S": line.invoiced_at.isoformat()},
        "put_at": {"N": str(put_at)},  # nanoseconds since 1970
    }
    if line.customer_id != UNKNOWN:
        item["customer_id"] = {"S": line.customer_id}
    if line.description is not None:
        item["description"] = {"S": line.description}
    return item


def _puts(lines: Iterable[Line]) -> list[dict]:
    # DynamoDB refuses a batch that names an item twice. The last one counts, as everywhere.
    latest = {line.invoice_line_id: line for line in lines}
    put_at = time.time_ns()
    return [{"PutRequest": {"Item": _item(line, put_at)}} for line in latest.values()]


def _line(item: dict[str, dict[str, str]]) -> Line:
    return Line(
        invoice_line_id=item["invoice_line_id"]["S"],
        invoice_no=item["invoice_no"]["S"],
        stock_code=item["stock_code"]["S"],
        customer_id=item["customer_id"]["S"] if "customer_id" in item else UNKNOWN,
        description=item["description"]["S"] if "description" in item else None,
        country=item["country"]["S"],
        transaction_type=item["transaction_type"]["S"],
        quantity=int(item["quantity"]["N"]),
        unit_price=_money(item["unit_price"]),
        line_amount=_money(item["line_amount"]),
        invoiced_at=datetime.fromisoformat(item["invoiced_at"]["S"]),
    )


def _number(amount: Decimal) -> str:
    return f"{check_money(amount):f}"


def _money(attribute: dict[str, str]) -> Decimal:
    return round(Decimal(attribute["N"]), 3)  # DynamoDB drops the zeros at the end

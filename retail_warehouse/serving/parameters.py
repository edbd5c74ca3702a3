"""Parameters of look-ups, read by hand: FastAPI takes longer for that than the store does for the answer."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from retail_warehouse.serving import keys

USUAL_PAGE = 100  # lines of a transaction, or invoices of a customer
MOST_OF_PAGE = 1_000
_EPOCH = datetime(1, 1, 1)
# What look-ups are asked with, read by hand: FastAPI takes longer for that than the store does for the answer.
INVOICE_NO = {
    "type": "string",
    "pattern": r"^ *[AaCc]?[0-9]{1,19}([.]0+)? *$",
    "maxLength": 50,
    "examples": ["536380"],
}
STOCK_CODE = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$", "maxLength": 50, "examples": ["22961"]}
CUSTOMER_ID = {"type": "string", "pattern": r"^[+-]?[0-9]{1,19}([.]0+)?$", "maxLength": 50, "examples": ["12374"]}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_OF_PAGE, "default": USUAL_PAGE}
LINE_CURSOR = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]+:([0-9]|[1-9][0-9]{1,8})$", "maxLength": 1000}
# Microseconds and invoice.
INVOICE_CURSOR = {"type": "string", "pattern": r"^[0-9]{1,17}:[^\x00-\x1f\x7f]+$", "maxLength": 100}


class InvalidParameter(Exception):
    """A parameter that cannot be taken; the request is answered 422."""

    def __init__(self, place: list[str], message: str) -> None:
        """Say where it stands, and what is wrong with it."""
        super().__init__()
        self.problem = {"type": "nonsense", "loc": place, "msg": message}


def parameter(name: str, place: str, schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """A parameter as OpenAPI describes it.

    Args:
        name: Its name.
        place: ``path`` or ``query``.
        schema: Its JSON schema.
        required: Whether it must be given.
    """
    return {"name": name, "in": place, "required": required, "schema": schema}


def page_parameters(cursor: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of an answer in pages, as OpenAPI describes them.

    Args:
        cursor: JSON schema of the cursor.
    """
    limit = parameter("limit", "query", _LIMIT, False) | {"description": "Most entries of the page."}
    return [limit, parameter("cursor", "query", cursor, False) | {"description": "`next_cursor` of the page before."}]


def checked(name: str, place: str, schema: dict[str, Any], as_key: bool = True) -> Callable[[str | None], str]:
    """What checks a parameter and returns it; where it does not fit, the request is answered 422.

    Args:
        name: Its name.
        place: ``path`` or ``query``.
        schema: Its JSON schema, with ``pattern`` and ``maxLength``.
        as_key: Whether it is a key, and is spelt as keys are.
    """
    matches = re.compile(schema["pattern"].removesuffix("$")).fullmatch

    def check(text: str | None) -> str:
        key = keys.clean_key(text or "") if as_key else text or ""
        if text is not None and len(text) <= schema["maxLength"] and matches(key):
            return key
        message = f"It must match {schema['pattern']}, in {schema['maxLength']} characters"
        raise InvalidParameter([place, name], "Field required" if text is None else message)

    return check


read_invoice_no = checked("InvoiceNo", "query", INVOICE_NO)
read_stock_code = checked("StockCode", "query", STOCK_CODE)
read_customer_id = checked("customer_id", "path", CUSTOMER_ID)
# A cursor is what the API wrote, not a key: a delivery may have a name in lower case.
read_line_cursor = checked("cursor", "query", LINE_CURSOR, as_key=False)
_check_invoice_cursor = checked("cursor", "query", INVOICE_CURSOR, as_key=False)


def read_limit(text: str | None) -> int:
    """Most entries of a page; the usual number where none is given.

    Raises:
        InvalidParameter: It is no number from 1 to ``MOST_OF_PAGE``.
    """
    if text is None:
        return USUAL_PAGE
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_OF_PAGE:
        return int(text)
    raise InvalidParameter(["query", "limit"], f"It must be a whole number from 1 to {MOST_OF_PAGE:,}")


def read_invoice_cursor(text: str) -> tuple[datetime, str]:
    """Time and number of the invoice after which a page begins; see :func:`cursor_of`.

    Raises:
        InvalidParameter: It is no such cursor.
    """
    microseconds, _, invoice_no = _check_invoice_cursor(text).partition(":")
    return _EPOCH + timedelta(microseconds=int(microseconds)), invoice_no


def cursor_of(invoiced_at: datetime, invoice_no: str) -> str:
    """The cursor of the page that begins after an invoice."""
    return f"{(invoiced_at - _EPOCH) // timedelta(microseconds=1)}:{invoice_no}"


def asked(request: Request) -> QueryParams:
    """The query parameters of a request; one that is repeated is refused."""
    given = request.query_params
    if len(given) != len(given.multi_items()):
        seen: set[str] = set()
        for name, _ in given.multi_items():
            if name in seen:
                raise InvalidParameter(["query", name[:100]], "This parameter is given twice")
            seen.add(name)
    return given

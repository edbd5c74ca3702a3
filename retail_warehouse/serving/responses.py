"""What the API answers: its models, as ``/docs`` shows them, and how an answer or a refusal is made."""

from typing import Annotated, Any

import orjson
from fastapi import Response
from pydantic import BaseModel, Field

from retail_warehouse.streaming.rows import COLUMNS

_TOLD_ERRORS = 20


class RowResult(BaseModel):
    """What became of a row."""

    event_id: str
    status: str = Field(description="`accepted`, `duplicate` (was accepted before) or `rejected`.")
    reason: str | None = Field(None, description="Why it was rejected, a reason of `audit.rejected_rows`.")
    detail: str | None = Field(None, description="Column and value behind the reason.")


class RowResults(BaseModel):
    """What became of the rows of a request, in their order."""

    accepted: int
    duplicate: int
    rejected: int
    rows: list[RowResult]


class LineOut(BaseModel):
    """A line of a transaction. Money is GBP as text, which is exact."""

    invoice_line_id: str
    transaction_type: str
    description: str | None
    quantity: int
    unit_price: str
    line_amount: str
    customer_id: str
    country: str
    invoiced_at: str


NextCursor = Annotated[str | None, Field(description="`cursor` of the next page; null where this one is the last.")]


class TransactionOut(BaseModel):
    """The lines of an invoice and a stock code, page by page, and what all of them add up to."""

    invoice_no: str
    stock_code: str
    line_count: int = Field(description="Of all lines, on this page or not, as are `quantity` and `amount`.")
    quantity: int
    amount: str
    lines: list[LineOut]
    next_cursor: NextCursor


class InvoiceOut(BaseModel):
    """What a customer's lines of an invoice add up to."""

    invoice_no: str
    invoiced_at: str
    line_count: int
    quantity: int
    amount: str


class CustomerOut(BaseModel):
    """The invoices of a customer, the earliest first, page by page."""

    customer_id: str
    invoice_count: int = Field(description="Of all invoices, on this page or not.")
    invoices: list[InvoiceOut]
    next_cursor: NextCursor


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class Health(BaseModel):
    """That the service runs."""

    detail: str


class Readiness(BaseModel):
    """That the service takes in rows."""

    detail: str
    landing: str = Field(description="Identifies the landing of this service, whatever its address.")


class FieldProblem(BaseModel):
    """A value of a request that cannot be taken."""

    loc: list[str | int]
    msg: str


class FieldProblems(BaseModel):
    """What is wrong with a request."""

    detail: list[FieldProblem]


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No valid token"},
    403: {"model": Problem, "description": "The token does not grant the scope"},
    404: {"model": Problem, "description": "There is none"},
    408: {"model": Problem, "description": "The body took too long"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The body is not said to be JSON, or is compressed"},
    422: {"model": FieldProblems, "description": "The request makes no sense"},
    429: {"model": Problem, "description": "Too many requests"},
    500: {"model": Problem, "description": "It is not known yet whether the rows were taken; send them again"},
    503: {"model": Problem, "description": "Try again later"},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes refusals with these statuses."""
    return {status: _PROBLEMS[status] for status in statuses}


def refusal(errors: Any, place: tuple[str, ...] = (), kind_at: int | None = None) -> Response:
    """An answer 422 that says where and why, but not the value, which may be large or private.

    Args:
        errors: As of pydantic: ``type``, ``loc`` and ``msg`` of each.
        place: Where what was checked stands.
        kind_at: Part of ``loc`` that is left out.
    """
    told = []
    for error in errors[:_TOLD_ERRORS]:
        parts = [part for at, part in enumerate(error["loc"]) if at != kind_at]
        location = [*place, *(part[:100] if isinstance(part, str) else part for part in parts)]
        unknown = error["type"] == "extra_forbidden"
        message = f"Unknown column; the columns are event_id, {', '.join(COLUMNS)}" if unknown else error["msg"]
        told.append({"loc": location, "msg": message})
    return json_response({"detail": told}, 422)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")

"""The part of the API where customers look up their transactions."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response

from retail_warehouse.serving import keys
from retail_warehouse.serving.access import Authorize
from retail_warehouse.serving.parameters import (
    CUSTOMER_ID,
    INVOICE_CURSOR,
    INVOICE_NO,
    LINE_CURSOR,
    MOST_OF_PAGE,
    STOCK_CODE,
    USUAL_PAGE,
    InvalidParameter,
    asked,
    cursor_of,
    page_parameters,
    parameter,
    read_customer_id,
    read_invoice_cursor,
    read_invoice_no,
    read_limit,
    read_line_cursor,
    read_stock_code,
)
from retail_warehouse.serving.responses import CustomerOut, TransactionOut, json_response, problems
from retail_warehouse.serving.store import Line, ServingStore, StoreError, Total
from retail_warehouse.serving.tokens import READ, Caller
from retail_warehouse.streaming.intake import Intake

# What a bound token asks for in place of what is not its own: the store looks, and finds nothing.
NOBODY = "nobody"
# Has a question answered: the limit of the page, the question, and what it is asked with.
Ask = Callable[..., Coroutine[Any, Any, Response | None]]


def lookups_routes(
    intake_now: Callable[[], Intake], store: ServingStore, long_answers: CapacityLimiter
) -> Callable[[FastAPI, Authorize], None]:
    """What adds the routes of look-ups to the API.

    Args:
        intake_now: Gives what takes in rows, or raises HTTPException while that is being made ready.
        store: Where look-ups are answered from.
        long_answers: Threads that look up what takes long.
    """

    async def ask(limit: int, question: Callable, *arguments: Any) -> Response | None:
        # A store on this machine gives a short answer sooner than a thread would be found. Others must not wait for a
        # long one.
        if store.is_local and limit <= USUAL_PAGE:
            try:
                return question(store, *arguments, is_short=True)
            except _LongAnswer:
                pass
        return await to_thread.run_sync(partial(question, store, *arguments), limiter=long_answers)

    def add(app: FastAPI, authorize: Authorize) -> None:
        _add_transactions(app, authorize, intake_now, ask)
        _add_invoices(app, authorize, intake_now, ask)

    return add


def _add_transactions(app: FastAPI, authorize: Authorize, intake_now: Callable[[], Intake], ask: Ask) -> None:
    @app.get(
        "/transactions",
        summary="Look up a transaction",
        response_model=TransactionOut,
        responses=problems(401, 403, 404, 422, 429, 503),
        openapi_extra={
            "parameters": [
                parameter("InvoiceNo", "query", INVOICE_NO),
                parameter("StockCode", "query", STOCK_CODE),
                *page_parameters(LINE_CURSOR),
            ],
            "security": [{"token": [READ]}],
        },
    )
    async def get_transactions(request: Request) -> Response:
        """The lines of an invoice and stock code, which may be several, and their total."""
        caller = await authorize(request, READ)
        given = asked(request)
        invoice_no, stock_code = read_invoice_no(given.get("InvoiceNo")), read_stock_code(given.get("StockCode"))
        invoice_no, stock_code = keys.clean_key(invoice_no), keys.clean_key(stock_code)
        if intake_now().may_hold_refused(invoice_no=invoice_no, stock_code=stock_code):
            raise StoreError("The serving store may hold lines that were refused.")
        limit = read_limit(given.get("limit"))
        after = read_line_cursor(cursor) if (cursor := given.get("cursor")) is not None else None
        own = _own_customer(caller) if caller.is_bound else None
        answer = await ask(limit, _transaction, invoice_no, stock_code, own, limit, after)
        if answer is None:
            raise HTTPException(404, "There is no such transaction")
        return answer


def _add_invoices(app: FastAPI, authorize: Authorize, intake_now: Callable[[], Intake], ask: Ask) -> None:
    @app.get(
        "/customers/{customer_id}/invoices",
        summary="Look up a customer's invoices",
        response_model=CustomerOut,
        responses=problems(401, 403, 404, 422, 429, 503),
        openapi_extra={
            "parameters": [parameter("customer_id", "path", CUSTOMER_ID), *page_parameters(INVOICE_CURSOR)],
            "security": [{"token": [READ]}],
        },
    )
    async def get_invoices(request: Request) -> Response:
        """The invoices of a customer, the earliest first, with what the customer's lines add up to."""
        caller = await authorize(request, READ)
        customer_id = keys.customer_id(read_customer_id(request.path_params["customer_id"]))
        if caller.is_bound and customer_id != _own_customer(caller):
            customer_id = NOBODY
        if intake_now().may_hold_refused(customer_id=customer_id):
            raise StoreError("The serving store may hold lines that were refused.")
        given = asked(request)
        limit = read_limit(given.get("limit"))
        after = read_invoice_cursor(cursor) if (cursor := given.get("cursor")) is not None else None
        answer = await ask(limit, _customer, customer_id, limit, after)
        if answer is None:
            raise HTTPException(404, "There is no such customer")
        return answer


def _own_customer(caller: Caller) -> str:
    """The customer that the token is bound to, or an id that matches no customer."""
    try:
        return keys.customer_id(read_customer_id(caller.customer)) if caller.customer else NOBODY
    except (InvalidParameter, ValueError):
        return NOBODY


class _LongAnswer(Exception):
    pass


def _transaction(
    store: ServingStore,
    invoice_no: str,
    stock_code: str,
    own: str | None,
    limit: int,
    after: str | None,
    is_short: bool = False,
) -> Response | None:
    """A page of a transaction, or of the lines of one customer in it; none where there are none.

    Raises:
        _LongAnswer: It takes long, and a short answer is wanted.
    """
    lines = store.lines(invoice_no, stock_code, limit + 1, after, own)
    if after is None and len(lines) <= limit:
        if not lines:
            return None
        total = Total(len(lines), sum(line.quantity for line in lines), sum(line.line_amount for line in lines))
    elif is_short:
        raise _LongAnswer
    else:
        total = store.total(invoice_no, stock_code, own)
        if not total.line_count:
            return None
    page = lines[:limit]
    return json_response(
        {
            "invoice_no": invoice_no,
            "stock_code": stock_code,
            "line_count": total.line_count,
            "quantity": total.quantity,
            "amount": str(total.amount),
            "lines": [_line(line) for line in page],
            "next_cursor": page[-1].invoice_line_id if len(lines) > limit else None,
        }
    )


def _customer(
    store: ServingStore, customer_id: str, limit: int, after: tuple[datetime, str] | None, is_short: bool = False
) -> Response | None:
    """A page of a customer's invoices; none where there is no such customer.

    Raises:
        _LongAnswer: It takes long, and a short answer is wanted.
    """
    invoices = store.invoices(customer_id, limit + 1, after)
    if after is None and len(invoices) <= limit:
        count = len(invoices)
    elif is_short:
        # A thread would cost more than to count some hundred.
        count = store.invoice_count(customer_id, MOST_OF_PAGE + 1)
        if count > MOST_OF_PAGE:
            raise _LongAnswer
    else:
        count = store.invoice_count(customer_id)
    if not count:
        return None
    page = invoices[:limit]
    cursor = None
    if len(invoices) > limit:
        cursor = cursor_of(page[-1].invoiced_at, page[-1].invoice_no)
    return json_response(
        {
            "customer_id": customer_id,
            "invoice_count": count,
            "invoices": [
                {
                    "invoice_no": invoice.invoice_no,
                    "invoiced_at": invoice.invoiced_at.isoformat(sep=" "),
                    "line_count": invoice.line_count,
                    "quantity": invoice.quantity,
                    "amount": str(invoice.amount),
                }
                for invoice in page
            ],
            "next_cursor": cursor,
        }
    )


def _line(line: Line) -> dict[str, Any]:
    return {
        "invoice_line_id": line.invoice_line_id,
        "transaction_type": line.transaction_type,
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": str(line.unit_price),
        "line_amount": str(line.line_amount),
        "customer_id": line.customer_id,
        "country": line.country,
        "invoiced_at": line.invoiced_at.isoformat(sep=" "),
    }

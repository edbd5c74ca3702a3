"""The API of the streaming process: rows come in, and customers look up transactions."""

import asyncio
import contextlib
import csv
import io
import json
import logging
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Annotated, Any

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retail_warehouse.serving import keys
from retail_warehouse.serving.store import Line, ServingStore, StoreError, Total
from retail_warehouse.serving.tokens import READ, WRITE, Caller, IssuerError, ScopeError, TokenError, Verifier
from retail_warehouse.streaming.intake import Full, Intake
from retail_warehouse.streaming.landing_folder import LandingError
from retail_warehouse.streaming.rules import Event, RulesError

MOST_ROWS = 10_000
MOST_BYTES = 8 << 20
MOST_BODIES = 32 << 20  # bytes of all bodies that are being read
_LARGE_BODY = 128 << 10  # bytes, some milliseconds
MOST_CHARACTERS = 1_000_000  # of a line that is sent as it stands
BODY_SECONDS = 30
USUAL_PAGE = 100  # lines of a transaction, or invoices of a customer
MOST_OF_PAGE = 1_000
_TOLD_ERRORS = 20
_EPOCH = datetime(1, 1, 1)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_LONG_ANSWERS = 2  # threads that look up what takes long, on this machine
_ANSWERS_OF_OTHERS = 40  # and where the store is on another one
_ASKING_ISSUER = 8  # threads that may wait for the issuer of tokens at once
_log = logging.getLogger("retail_warehouse.api")

EventId = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+:([2-9]|[1-9][0-9]{1,8})$", max_length=250),
    Field(
        description="Delivery and number of the row there, which counts from 2 as in a file with a header.",
        examples=["till-1/2026-11-22:2"],
    ),
]
# A line break would make another row of a file. A landed line must not exceed the 16 MiB that dbt reads, though a
# character may take twelve bytes there.
_NO_LINE_BREAK = r"^[^\r\n]*$"
Text = Annotated[str, StringConstraints(pattern=_NO_LINE_BREAK, max_length=100_000)]
WholeLine = Annotated[str, StringConstraints(pattern=_NO_LINE_BREAK, max_length=MOST_CHARACTERS)]


# The examples look up what stands in the bundled sample and in the complete file.
class Row(BaseModel):
    """A row with the columns of the raw file, each as text, as it would stand there."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Row")

    event_id: EventId = Field(examples=["till-1/2026-11-22:2"])
    InvoiceNo: Text | None = Field(examples=["536380"])
    StockCode: Text | None = Field(examples=["22961"])
    Description: Text | None = Field(examples=["JAM MAKING SET PRINTED"])
    Quantity: Text | None = Field(examples=["24"])
    InvoiceDate: Text | None = Field(examples=["12/1/2010 9:41"])
    UnitPrice: Text | None = Field(examples=["1.45"])
    CustomerID: Text | None = Field(examples=["12374"])
    Country: Text | None = Field(examples=["United Kingdom"])

    def event(self) -> Event:
        """The line that the row would be in a file."""
        line = io.StringIO()
        values = (getattr(self, column) for column in COLUMNS)
        csv.writer(line, lineterminator="").writerow(["" if value is None else value for value in values])
        return Event(self.event_id, line.getvalue())


COLUMNS = tuple(name for name in Row.model_fields if name != "event_id")


class RawRow(BaseModel):
    """A row that cannot be split into the columns, as the line that it is."""

    model_config = ConfigDict(extra="forbid", strict=True, title="RawRow")

    event_id: EventId
    raw_record: WholeLine = Field(examples=["536365,85123A,not all columns"])

    def event(self) -> Event:
        """The line itself."""
        return Event(self.event_id, self.raw_record)


def _kind(value: Any) -> str:
    return "line" if isinstance(value, dict) and "raw_record" in value else "columns"


AnyRow = Annotated[Annotated[Row, Tag("columns")] | Annotated[RawRow, Tag("line")], Discriminator(_kind)]
_one = TypeAdapter(AnyRow)
_many = TypeAdapter(Annotated[list[AnyRow], Field(min_length=1, max_length=MOST_ROWS)])


def _described() -> tuple[dict[str, Any], dict[str, Any]]:
    template = "#/components/schemas/{model}"
    rows: list = [(Row, "validation"), (RawRow, "validation")]
    _, schemas = models_json_schema(rows, ref_template=template)
    row = {"anyOf": [{"$ref": template.format(model=model.__name__)} for model, _ in rows]}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}
    return schemas["$defs"], {"anyOf": [*row["anyOf"], many]}


_ROWS, _BODY = _described()
# What the other examples look up.
_EXAMPLE = {name: field.examples[0] for name, field in Row.model_fields.items() if field.examples}


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
    landing: str = Field(description="Identifies the landing folder of this service, whatever its address.")


class FieldProblem(BaseModel):
    """A value of a request that cannot be taken."""

    loc: list[str | int]
    msg: str


class FieldProblems(BaseModel):
    """What is wrong with a request."""

    detail: list[FieldProblem]


# What look-ups are asked with, read by hand: FastAPI takes longer for that than the store does for the answer.
_INVOICE_NO = {
    "type": "string",
    "pattern": r"^ *[AaCc]?[0-9]{1,19}([.]0+)? *$",
    "maxLength": 50,
    "examples": ["536380"],
}
_STOCK_CODE = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$", "maxLength": 50, "examples": ["22961"]}
_CUSTOMER_ID = {"type": "string", "pattern": r"^[+-]?[0-9]{1,19}([.]0+)?$", "maxLength": 50, "examples": ["12374"]}


_LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_OF_PAGE, "default": USUAL_PAGE}
_LINE_CURSOR = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]+:([0-9]|[1-9][0-9]{1,8})$", "maxLength": 1000}
# Microseconds and invoice.
_INVOICE_CURSOR = {"type": "string", "pattern": r"^[0-9]{1,17}:[^\x00-\x1f\x7f]+$", "maxLength": 100}


def _parameter(name: str, place: str, schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _page(cursor: dict[str, Any]) -> list[dict[str, Any]]:
    limit = _parameter("limit", "query", _LIMIT, False) | {"description": "Most entries of the page."}
    return [limit, _parameter("cursor", "query", cursor, False) | {"description": "`next_cursor` of the page before."}]


def _check(
    name: str, place: str, schema: dict[str, Any], clean: Callable[[str], str] = keys.clean_key
) -> Callable[[str | None], str]:
    matches = re.compile(schema["pattern"].removesuffix("$")).fullmatch

    def check(text: str | None) -> str:
        key = clean(text or "")
        if text is not None and len(text) <= schema["maxLength"] and matches(key):
            return key
        message = f"It must match {schema['pattern']}, in {schema['maxLength']} characters"
        raise _Nonsense([place, name], "Field required" if text is None else message)

    return check


class _Direct(APIRoute):
    """Hands the request to the endpoint as it is. FastAPI would find out for each request what the endpoint wants,
    which takes longer than a look-up."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See the base class."""
        return self.endpoint


class _Nonsense(Exception):
    def __init__(self, place: list[str], message: str) -> None:
        super().__init__()
        self.problem = {"type": "nonsense", "loc": place, "msg": message}


_invoice_no = _check("InvoiceNo", "query", _INVOICE_NO)
_stock_code = _check("StockCode", "query", _STOCK_CODE)
_customer_id = _check("customer_id", "path", _CUSTOMER_ID)
# A cursor is what the API wrote, not a key: a delivery may have a name in lower case.
_line_cursor = _check("cursor", "query", _LINE_CURSOR, str)
_invoice_cursor = _check("cursor", "query", _INVOICE_CURSOR, str)


def _limit(text: str | None) -> int:
    if text is None:
        return USUAL_PAGE
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_OF_PAGE:
        return int(text)
    raise _Nonsense(["query", "limit"], f"It must be a whole number from 1 to {MOST_OF_PAGE:,}")


def _time_of_cursor(cursor: str) -> tuple[datetime, str]:
    time, _, invoice_no = cursor.partition(":")
    return _EPOCH + timedelta(microseconds=int(time)), invoice_no


def _asked(request: Request) -> QueryParams:
    """The parameters of a request, none of which may stand there twice."""
    asked = request.query_params
    if len(asked) != len(asked.multi_items()):
        seen: set[str] = set()
        for name, _ in asked.multi_items():
            if name in seen:
                raise _Nonsense(["query", name[:100]], "This parameter is given twice")
            seen.add(name)
    return asked


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No valid token"},
    403: {"model": Problem, "description": "The token does not grant the scope"},
    404: {"model": Problem, "description": "There is none"},
    408: {"model": Problem, "description": "The body took too long"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The body is not said to be JSON, or is compressed"},
    422: {"model": FieldProblems, "description": "The request makes no sense"},
    429: {"model": Problem, "description": "Too many requests"},
    503: {"model": Problem, "description": "Try again later"},
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _PROBLEMS[status] for status in statuses}


def create_app(
    running: Callable[[], Intake | None],
    store: ServingStore,
    verifier: Verifier,
    lookups_per_second: int = 500,
    posts_per_second: int = 50,
    docs: bool = True,
    rejected_megabytes: int = 64,
) -> FastAPI:
    """The API as an ASGI application.

    Args:
        running: Gives what takes in rows; none while that is being made ready.
        store: Where look-ups are answered from.
        verifier: Judges tokens.
        lookups_per_second: Most look-ups of one client, on average over ten seconds.
        posts_per_second: Most requests with rows of one client, likewise.
        docs: Whether the API describes itself, at ``/docs`` and ``/openapi.json``.
        rejected_megabytes: Most that is kept of the rejected rows of one client within an hour, in 1,024 x 1,024 bytes.
    """
    options: dict[str, Any] = {
        "title": "Retail Warehouse",
        "summary": "Rows of Online Retail come in; customers look up their transactions.",
        "version": "1",
        "swagger_ui_parameters": {"tryItOutEnabled": True},
        "redoc_url": None,
        # Traces would tell what was asked.
        "telemetry": {"tracing": False, "metrics": False, "logs": False},
    }
    app = FastAPIOffline(**options) if docs else FastAPI(**options, docs_url=None, openapi_url=None)
    app.router.route_class = _Direct
    limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    lookups = parse(f"{10 * lookups_per_second} per 10 second")
    posts = parse(f"{10 * posts_per_second} per 10 second")
    failures = parse("100 per 10 second")
    rejections = parse(f"{1024 * rejected_megabytes} per 1 hour")
    bodies = _Bytes(MOST_BODIES)
    parsing = CapacityLimiter(1)

    asking_issuer = CapacityLimiter(_ASKING_ISSUER)
    long_answers = CapacityLimiter(_LONG_ANSWERS if store.is_local else _ANSWERS_OF_OTHERS)

    async def caller_of(header: str) -> Caller:
        kind, _, text = header.partition(" ")
        token = text.strip() if kind.lower() == "bearer" else None
        caller = verifier.remembered(token)
        if caller is None:
            # Whoever has to wait for the issuer does not keep threads from those who have not.
            threads = asking_issuer if verifier.may_wait(token) else None
            caller = await to_thread.run_sync(verifier.verify, token, limiter=threads)
        return caller

    async def authorize(request: Request, scope: str, rate: RateLimitItem) -> Caller:
        """Comes before everything else: without a token nobody learns what a request should be like."""
        header = request.headers.get("authorization", "")
        try:
            caller = await caller_of(header)
            caller.must(scope)
        except IssuerError as error:
            _log.error("%s", error)
            raise HTTPException(503, "Try again later", {"Retry-After": "5"}) from None
        except TokenError as error:
            _log.info("401: %s", error)
            # A good token is never refused for the bad ones of its address, which may be everybody's.
            if not limiter.hit(failures, request.client.host if request.client else ""):
                raise HTTPException(429, "Too many requests", {"Retry-After": "10"}) from None
            raise HTTPException(401, "No valid token", {"WWW-Authenticate": "Bearer"}) from None
        except ScopeError as error:
            _log.info("403: %s", error)
            raise HTTPException(403, "Not allowed") from None
        if not limiter.hit(rate, scope, caller.client, caller.subject):
            raise HTTPException(429, "Too many requests", {"Retry-After": "1"})
        return caller

    def the_intake() -> Intake:
        found = running()
        if found is None:
            raise HTTPException(503, "Starting; try again soon", {"Retry-After": "2"})
        return found

    @app.exception_handler(_Nonsense)
    async def refuse(_: Request, error: _Nonsense) -> Response:
        return _refusal([error.problem])

    @app.exception_handler(StoreError)
    @app.exception_handler(LandingError)
    @app.exception_handler(RulesError)
    async def later(_: Request, error: Exception) -> Response:
        _log.error("%s", error)
        return _json({"detail": "Try again later"}, 503, {"Retry-After": "5"})

    @app.get(
        "/transactions",
        summary="Look up a transaction",
        response_model=TransactionOut,
        responses=_problems(401, 403, 404, 422, 429, 503),
        openapi_extra={
            "parameters": [
                _parameter("InvoiceNo", "query", _INVOICE_NO),
                _parameter("StockCode", "query", _STOCK_CODE),
                *_page(_LINE_CURSOR),
            ],
            "security": [{"token": [READ]}],
        },
    )
    async def get_transactions(request: Request) -> Response:
        """The lines of an invoice and stock code, which may be several, and their total."""
        await authorize(request, READ, lookups)
        asked = _asked(request)
        invoice_no, stock_code = _invoice_no(asked.get("InvoiceNo")), _stock_code(asked.get("StockCode"))
        invoice_no, stock_code = keys.clean_key(invoice_no), keys.clean_key(stock_code)
        if the_intake().doubts(invoice_no=invoice_no, stock_code=stock_code):
            raise StoreError("The serving store may hold lines that were refused.")
        limit = _limit(asked.get("limit"))
        after = _line_cursor(cursor) if (cursor := asked.get("cursor")) is not None else None
        answer = await ask(limit, store, _transaction, invoice_no, stock_code, limit, after)
        if answer is None:
            raise HTTPException(404, "There is no such transaction")
        return answer

    @app.get(
        "/customers/{customer_id}/invoices",
        summary="Look up a customer's invoices",
        response_model=CustomerOut,
        responses=_problems(401, 403, 404, 422, 429, 503),
        openapi_extra={
            "parameters": [_parameter("customer_id", "path", _CUSTOMER_ID), *_page(_INVOICE_CURSOR)],
            "security": [{"token": [READ]}],
        },
    )
    async def get_invoices(request: Request) -> Response:
        """The invoices of a customer, the earliest first, with what the customer's lines add up to."""
        await authorize(request, READ, lookups)
        customer_id = keys.customer_id(_customer_id(request.path_params["customer_id"]))
        if the_intake().doubts(customer_id=customer_id):
            raise StoreError("The serving store may hold lines that were refused.")
        asked = _asked(request)
        limit = _limit(asked.get("limit"))
        after = _time_of_cursor(_invoice_cursor(cursor)) if (cursor := asked.get("cursor")) is not None else None
        answer = await ask(limit, store, _customer, customer_id, limit, after)
        if answer is None:
            raise HTTPException(404, "There is no such customer")
        return answer

    @app.post(
        "/transactions",
        summary="Take in rows",
        response_model=RowResults,
        responses=_problems(401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _BODY, "example": _EXAMPLE}},
            },
            "security": [{"token": [WRITE]}],
        },
    )
    async def post_transactions(request: Request) -> Response:
        """Takes one row or a list, and answers for each: `accepted`, `duplicate` of one that was accepted before, or
        `rejected` with the reason. What is answered is stored for good, and can be looked up. A row may be sent again
        with the same `event_id` as often as you like; with another content it is rejected."""
        caller = await authorize(request, WRITE, posts)
        intake = the_intake()
        writer = ("rejected", caller.client, caller.subject)
        if not limiter.test(rejections, *writer):
            wait = max(1, round(limiter.get_window_stats(rejections, *writer).reset_time - time.time()))
            raise HTTPException(429, "Too many rejected rows", {"Retry-After": str(wait)})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "The body must be application/json", {"Connection": "close"})
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            # https://www.rfc-editor.org/rfc/rfc9110#field.accept-encoding
            headers = {"Connection": "close", "Accept-Encoding": "identity"}
            raise HTTPException(415, "The body must not be compressed", headers)
        with bodies.held() as held:
            # What was parsed is gone before the next one is: none of it waits for the intake.
            body = await _body(request, held)
            # Others do not wait while a large one is parsed; one at a time, as it takes memory.
            is_large = len(body) > _LARGE_BODY
            events = await to_thread.run_sync(_events, body, limiter=parsing) if is_large else _events(body)
            del body
        if isinstance(events, Response):
            return events
        try:
            taking = asyncio.wrap_future(intake.take(events))
        except Full:
            return _json({"detail": "Try again later"}, 503, {"Retry-After": "1"})
        del events
        verdicts = await taking
        if kept := sum(verdict.kept_bytes for verdict in verdicts):
            left = limiter.get_window_stats(rejections, *writer).remaining
            limiter.hit(rejections, *writer, cost=min(left, -(-kept // 1024)))
        results = [
            {
                "event_id": verdict.event_id,
                "status": verdict.status,
                "reason": verdict.rejection.reason if verdict.rejection else None,
                "detail": verdict.rejection.detail if verdict.rejection else None,
            }
            for verdict in verdicts
        ]
        counts = {status: 0 for status in ("accepted", "duplicate", "rejected")}
        for verdict in verdicts:
            counts[verdict.status] += 1
        return _json({**counts, "rows": results})

    @app.get("/health", summary="Whether the service runs", response_model=Health, responses=_problems(503))
    async def get_health(_: Request) -> Response:
        """Needs no token."""
        return _json({"detail": "ok", "landing": the_intake().landing_identity})

    async def ask(limit: int, store: ServingStore, question: Callable, *arguments: Any) -> Response | None:
        # A store on this machine gives a short answer sooner than a thread would be found. Others must not wait for a
        # long one.
        if store.is_local and limit <= USUAL_PAGE:
            try:
                return question(store, *arguments, is_short=True)
            except _LongAnswer:
                pass
        return await to_thread.run_sync(partial(question, store, *arguments), limiter=long_answers)

    if docs:

        @app.get("/", include_in_schema=False)
        async def get_root(_: Request) -> Response:
            return RedirectResponse("/docs")

    describe = app.openapi

    def openapi() -> dict[str, Any]:
        description = describe()
        components = description.setdefault("components", {})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
        components["schemas"] |= _ROWS
        return description

    app.openapi = openapi  # type: ignore[method-assign]
    if docs:
        # Written once: it is asked for without a token, and takes longer than a look-up.
        described = _json(openapi()).body

        async def get_description(_: Request) -> Response:
            return Response(described, media_type="application/json")

        routes = app.router.routes
        [at] = [at for at, route in enumerate(routes) if getattr(route, "path", "") == app.openapi_url]
        routes[at] = Route(str(app.openapi_url), get_description, include_in_schema=False)
    app.add_middleware(_Log)
    return app


# Answers are for the caller alone, and what they say they are.
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class _Log:
    """Logs route, status and time of each request. It does not log the address, which says who asked for what. Nor
    does what goes wrong within reach another log, since it may quote what was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *_PRIVATE]}
            try:
                await send(message)
            except (RuntimeError, OSError) as error:  # the connection has just been closed
                raise ClientDisconnect from error

        try:
            await self._app(scope, receive, note)
        except ClientDisconnect:
            pass  # nobody is left to be told
        except Exception as error:
            _log.error("%s", _place(error))
            if not status:
                await _json({"detail": "Internal error"}, 500)(scope, receive, note)
        finally:
            path = getattr(scope.get("route"), "path", "-")
            _log.info("%s %s %d %.1f ms", scope["method"], path, status, 1000 * (time.perf_counter() - start))


def _place(error: Exception) -> str:
    """Kind and place of an error, without its text."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "-"
    return f"500: {type(error).__name__} at {place}"


class _Bytes:
    """A limit of the bytes of all bodies that are being read."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that counts bytes, until the block is left.

        Raises:
            HTTPException: From that function: there are too many.
        """
        own = 0

        def hold(count: int) -> None:
            nonlocal own
            if self._count + count > self._most:
                raise HTTPException(503, "Try again later", {"Retry-After": "1", "Connection": "close"})
            self._count += count
            own += count

        try:
            yield hold
        finally:
            self._count -= own


async def _body(request: Request, hold: Callable[[int], None]) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES:
        raise HTTPException(413, f"More than {MOST_BYTES:,} bytes", {"Connection": "close"})
    parts = []
    count = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                hold(len(chunk))
                parts.append(chunk)
                count += len(chunk)
                if count > MOST_BYTES:
                    raise HTTPException(413, f"More than {MOST_BYTES:,} bytes", {"Connection": "close"})
    except TimeoutError:
        raise HTTPException(408, f"The body took more than {BODY_SECONDS} s", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(408, "The body ended early") from None  # which nobody reads
    return b"".join(parts)


def _events(body: bytes) -> list[Event] | Response:
    """The rows of a body, or why it is refused."""
    # Before it is parsed, which would take twenty times as much memory.
    if _strings_written(body) > 2 * len(Row.model_fields) * MOST_ROWS or _is_nested(body):
        return _refusal(
            [{"type": "too_many", "loc": (), "msg": f"More than {MOST_ROWS:,} rows, or no rows"}], ("body",)
        )
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _refusal([{"type": "json_invalid", "loc": (), "msg": f"Invalid JSON: {error}"}], ("body",))
    try:
        if isinstance(content, list):
            rows = _many.validate_python([_short(row) for row in content[: MOST_ROWS + 1]])
        else:
            rows = [_one.validate_python(_short(content))]
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        return _refusal(errors, ("body",), kind_at=1 if isinstance(content, list) else 0)
    if _strings_in(content) != _strings_written(body):
        return _refusal(_repeated_keys(body), ("body",))
    return [row.event() for row in rows]


def _is_nested(body: bytes) -> bool:
    """Whether a text holds more lists and objects than a list of rows can."""
    if body.count(b"{") + body.count(b"[") <= 2 * MOST_ROWS:
        return False
    outside = _STRING.sub(b"", body)
    return outside.count(b"{") + outside.count(b"[") > 2 * MOST_ROWS


def _strings_in(content: list[dict[str, str | None]] | dict[str, str | None]) -> int:
    """How many strings rows are made of: keys, and values that are not null."""
    rows = content if isinstance(content, list) else [content]
    return sum(2 * len(row) - list(row.values()).count(None) for row in rows)


def _strings_written(body: bytes) -> int:
    """How many strings stand in a JSON text. Parsers drop all but the last of the values of one key, without a word."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return body.count(b'"') // 2


def _repeated_keys(body: bytes) -> list[dict[str, Any]]:
    """Where rows name a key twice. It takes ten times as long as to parse them."""
    problems: list[dict[str, Any]] = []
    rows = 0

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal rows
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                place = (rows, key) if is_list else (key,)
                problems.append({"type": "repeated_key", "loc": place, "msg": "This key stands twice in one row"})
            seen.add(key)
        rows += 1

    is_list = body.lstrip()[:1] == b"["
    json.loads(body, object_pairs_hook=look)
    return problems


def _short(row: Any) -> Any:
    # More keys than any row has are refused, and need not all be looked at.
    return dict(islice(row.items(), 2 * len(COLUMNS))) if isinstance(row, dict) and len(row) > len(COLUMNS) + 1 else row


def _refusal(errors: Any, place: tuple[str, ...] = (), kind_at: int | None = None) -> Response:
    """Where and why, but not the value, which may be large or private."""
    problems = []
    for error in errors[:_TOLD_ERRORS]:
        parts = [part for at, part in enumerate(error["loc"]) if at != kind_at]
        location = [*place, *(part[:100] if isinstance(part, str) else part for part in parts)]
        unknown = error["type"] == "extra_forbidden"
        message = f"Unknown column; the columns are event_id, {', '.join(COLUMNS)}" if unknown else error["msg"]
        problems.append({"loc": location, "msg": message})
    return _json({"detail": problems}, 422)


class _LongAnswer(Exception):
    pass


def _transaction(
    store: ServingStore, invoice_no: str, stock_code: str, limit: int, after: str | None, is_short: bool = False
) -> Response | None:
    """A page of a transaction; none where there is no such transaction.

    Raises:
        _LongAnswer: It takes long, and a short answer is wanted.
    """
    lines = store.lines(invoice_no, stock_code, limit + 1, after)
    if after is None and len(lines) <= limit:
        if not lines:
            return None
        total = Total(len(lines), sum(line.quantity for line in lines), sum(line.line_amount for line in lines))
    elif is_short:
        raise _LongAnswer
    else:
        total = store.total(invoice_no, stock_code)
        if not total.line_count:
            return None
    page = lines[:limit]
    return _json(
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
        cursor = f"{(page[-1].invoiced_at - _EPOCH) // timedelta(microseconds=1)}:{page[-1].invoice_no}"
    return _json(
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


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")

"""The part of the API where rows come in."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic.json_schema import models_json_schema

from retail_warehouse.serving import bodies
from retail_warehouse.serving.access import Access
from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.responses import RowResults, json_response, problems
from retail_warehouse.serving.store import file_order
from retail_warehouse.serving.tokens import WRITE
from retail_warehouse.streaming.intake import Intake, IntakeFull, Verdict
from retail_warehouse.streaming.rows import MOST_ROWS, RawRow, Row

_log = logging.getLogger("retail_warehouse.api")
_LARGE_BODY = 128 << 10  # bytes, some milliseconds


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    template = "#/components/schemas/{model}"
    rows: list = [(Row, "validation"), (RawRow, "validation")]
    _, schemas = models_json_schema(rows, ref_template=template)
    row = {"anyOf": [{"$ref": template.format(model=model.__name__)} for model, _ in rows]}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}
    return schemas["$defs"], {"anyOf": [*row["anyOf"], many]}


ROW_SCHEMAS, _BODY = _schemas()
# What the other examples look up.
_EXAMPLE = {name: field.examples[0] for name, field in Row.model_fields.items() if field.examples}


def rows_routes(intake_now: Callable[[], Intake], access: Access, counted: Metrics) -> Callable[[FastAPI], None]:
    """What adds the route that takes in rows to the API.

    Args:
        intake_now: Gives what takes in rows, or raises HTTPException while that is being made ready.
        access: Judges callers.
        counted: Counts the rows.
    """
    reading = bodies.BytesLimit(bodies.MOST_BODIES)
    parsing = CapacityLimiter(1)

    def add(app: FastAPI) -> None:
        @app.post(
            "/transactions",
            summary="Take in rows",
            response_model=RowResults,
            responses=problems(401, 403, 408, 413, 415, 422, 429, 500, 503),
            openapi_extra={
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _BODY, "example": _EXAMPLE}},
                },
                "security": [{"token": [WRITE]}],
            },
        )
        async def post_transactions(request: Request) -> Response:
            """Takes one row or a list, and answers for each: `accepted`, `duplicate` of one that was accepted before,
            or `rejected` with the reason. What is answered is stored for good, and can be looked up. A row may be sent
            again with the same `event_id` as often as you like; with another content it is rejected."""
            caller = await access.of_rows(request)
            intake = intake_now()
            access.check_rejected(caller)
            bodies.require_json(request)
            with reading.held() as held:
                # What was parsed is gone before the next one is: none of it waits for the intake.
                body = await bodies.read_body(request, held)
                # Others do not wait while a large one is parsed; one at a time, as it takes memory.
                is_large = len(body) > _LARGE_BODY
                parse = bodies.parse_events
                events = await to_thread.run_sync(parse, body, limiter=parsing) if is_large else parse(body)
                del body
            if isinstance(events, Response):
                return events
            if not all(caller.sends(file_order(event.event_id)[0]) for event in events):
                _log.info("403: The token does not grant these deliveries.")
                raise HTTPException(403, "Not allowed: the token is bound to other deliveries")
            try:
                taking = asyncio.wrap_future(intake.take(events))
            except IntakeFull:
                return json_response({"detail": "Try again later"}, 503, {"Retry-After": "1"})
            del events
            verdicts = await taking
            access.count_rejected(caller, sum(verdict.kept_bytes for verdict in verdicts))
            return _answer(verdicts, counted)

    return add


def _answer(verdicts: list[Verdict], counted: Metrics) -> Response:
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
    counted.rows(counts)
    return json_response({**counts, "rows": results})

"""Puts the API together: rows come in, customers look up transactions, and a shop looks up predictions."""

import hmac
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse
from starlette.routing import Route

from retail_warehouse.serving.access import Access, Authorize
from retail_warehouse.serving.lookups_api import lookups_routes
from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.parameters import InvalidParameter
from retail_warehouse.serving.request_log import RequestLog
from retail_warehouse.serving.responses import Health, Readiness, json_response, problems, refusal
from retail_warehouse.serving.rows_api import ROW_SCHEMAS, rows_routes
from retail_warehouse.serving.store import ServingStore, StoreError
from retail_warehouse.serving.tokens import Verifier
from retail_warehouse.streaming.intake import Intake
from retail_warehouse.streaming.landing import InDoubt, LandingError
from retail_warehouse.streaming.rules import RulesError

_LONG_ANSWERS = 2  # threads that look up what takes long, on this machine
_ANSWERS_OF_OTHERS = 40  # and where the store is on another one
_OPTIONS: dict[str, Any] = {
    "title": "Retail Warehouse",
    "summary": "Rows of Online Retail come in; customers look up their transactions.",
    "version": "1",
    "swagger_ui_parameters": {"tryItOutEnabled": True},
    "redoc_url": None,
    # Traces would tell what was asked.
    "telemetry": {"tracing": False, "metrics": False, "logs": False},
}
_log = logging.getLogger("retail_warehouse.api")


class _Direct(APIRoute):
    """Passes the request to the endpoint as it is. FastAPI's own parsing of parameters takes longer than a look-up."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See the base class."""
        return self.endpoint


def create_app(
    running: Callable[[], Intake | None],
    store: ServingStore,
    verifier: Verifier,
    lookups_per_second: int = 500,
    posts_per_second: int = 50,
    docs: bool = True,
    rejected_megabytes: int = 64,
    further: Sequence[Callable[[FastAPI, Authorize], None]] = (),
    metrics: Metrics | None = None,
    metrics_token: str | None = "",
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
        further: Add routes; each gets the application, and what judges the caller of a look-up.
        metrics: Counts requests and rows; without it, they are counted and can be read at ``/metrics`` all the same.
        metrics_token: What must be sent to read ``/metrics``; empty: nothing, None: nobody reads it.
    """
    counted = metrics or Metrics()
    app = FastAPIOffline(**_OPTIONS) if docs else FastAPI(**_OPTIONS, docs_url=None, openapi_url=None)
    app.router.route_class = _Direct
    access = Access(verifier, lookups_per_second, posts_per_second, rejected_megabytes)
    long_answers = CapacityLimiter(_LONG_ANSWERS if store.is_local else _ANSWERS_OF_OTHERS)

    def intake_now() -> Intake:
        found = running()
        if found is None:
            raise HTTPException(503, "Starting; try again soon", {"Retry-After": "2"})
        return found

    _add_refusals(app)
    lookups_routes(intake_now, store, long_answers)(app, access.of_lookup)
    rows_routes(intake_now, access, counted)(app)
    _add_health(app, intake_now)
    _add_metrics(app, running, counted, metrics_token, long_answers)
    for add in further:
        add(app, access.of_lookup)
    _describe_tokens_and_rows(app)
    if docs:
        _add_root(app)
        _write_description_once(app)
    app.add_middleware(RequestLog, counted=counted)
    return app


def _add_refusals(app: FastAPI) -> None:
    """Add the answers to requests that are invalid, and to those that fail because of the store, the disk or memory."""

    @app.exception_handler(InvalidParameter)
    async def refuse(_: Request, error: InvalidParameter) -> Response:
        return refusal([error.problem])

    @app.exception_handler(StoreError)
    @app.exception_handler(LandingError)
    @app.exception_handler(RulesError)
    async def later(_: Request, error: Exception) -> Response:
        _log.error("%s", error)
        return json_response({"detail": "Try again later"}, 503, {"Retry-After": "5"})

    @app.exception_handler(InDoubt)
    async def not_known(_: Request, error: InDoubt) -> Response:
        _log.error("%s", error)
        detail = "It is not known yet whether the rows were taken; send them again, with the same event_id"
        return json_response({"detail": detail}, 500, {"Retry-After": "5"})


def _add_health(app: FastAPI, intake_now: Callable[[], Intake]) -> None:
    @app.get("/health", summary="Whether the service runs", response_model=Health)
    async def get_health(_: Request) -> Response:
        """Answers as soon as the service listens. Needs no token."""
        return json_response({"detail": "ok"})

    @app.get("/ready", summary="Whether the service takes in rows", response_model=Readiness, responses=problems(503))
    async def get_ready(_: Request) -> Response:
        """Answers 503 until the rules are compiled and the predictions, if any were published, are loaded. Needs no
        token."""
        return json_response({"detail": "ok", "landing": intake_now().landing_identity})


def _add_metrics(
    app: FastAPI,
    running: Callable[[], Intake | None],
    counted: Metrics,
    metrics_token: str | None,
    threads: CapacityLimiter,
) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def get_metrics(request: Request) -> Response:
        if metrics_token is None:
            raise HTTPException(404, "Not Found")
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), metrics_token.encode()) and metrics_token:
            raise HTTPException(401, "No valid token", {"WWW-Authenticate": "Bearer"})
        intake = running()
        behind = await to_thread.run_sync(intake.seconds_behind, limiter=threads) if intake else None
        text = counted.text(behind)
        return Response(text, media_type=counted.content_type)


def _add_root(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def get_root(_: Request) -> Response:
        return RedirectResponse("/docs")


def _describe_tokens_and_rows(app: FastAPI) -> None:
    """Add tokens and rows to the OpenAPI description. FastAPI cannot derive them, since the endpoints read requests
    themselves."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        description = describe()
        components = description.setdefault("components", {})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        }
        components["schemas"] |= ROW_SCHEMAS
        return description

    app.openapi = openapi  # type: ignore[method-assign]


def _write_description_once(app: FastAPI) -> None:
    """Serve the OpenAPI description from memory. Anyone may ask for it, and building it takes longer than a look-up."""
    described = json_response(app.openapi()).body

    async def get_description(_: Request) -> Response:
        return Response(described, media_type="application/json")

    routes = app.router.routes
    [at] = [at for at, route in enumerate(routes) if getattr(route, "path", "") == app.openapi_url]
    routes[at] = Route(str(app.openapi_url), get_description, include_in_schema=False)

"""Logs and counts requests, without what was asked or by whom."""

import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retail_warehouse.serving.metrics import Metrics
from retail_warehouse.serving.responses import json_response

_log = logging.getLogger("retail_warehouse.api")
# Answers are for the caller alone, and what they say they are.
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class RequestLog:
    """Logs route, status and time of each request. It does not log the address, which says who asked for what.
    Errors inside are not passed to other logs, since they may quote the request."""

    def __init__(self, app: ASGIApp, counted: Metrics) -> None:
        """Wrap an ASGI application.

        Args:
            app: The application.
            counted: Counts its requests.
        """
        self._app, self._counted = app, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and log it when it is answered."""
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
                await json_response({"detail": "Internal error"}, 500)(scope, receive, note)
        finally:
            path = getattr(scope.get("route"), "path", "-")
            seconds = time.perf_counter() - start
            self._counted.request(scope["method"], path, status, seconds)
            told = {"method": scope["method"][:10], "route": path, "status": status, "ms": round(1000 * seconds, 1)}
            _log.info("%s %s %d %.1f ms", scope["method"][:10], path, status, 1000 * seconds, extra={"request": told})


def _place(error: Exception) -> str:
    """Kind and place of an error, without its text."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "-"
    return f"500: {type(error).__name__} at {place}"

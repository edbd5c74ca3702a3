"""Who may ask the API, and how often."""

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from retail_warehouse.serving.tokens import WRITE, Caller, IssuerError, ScopeError, TokenError, Verifier

_ASKING_ISSUER = 8  # threads that may wait for the issuer of tokens at once
_log = logging.getLogger("retail_warehouse.api")
# Judges the caller of a look-up, by request and scope; raises HTTPException.
Authorize = Callable[[Request, str], Coroutine[Any, Any, Caller]]


class Access:
    """Checks the tokens of callers, and limits how much each caller may ask and send."""

    def __init__(
        self, verifier: Verifier, lookups_per_second: int, posts_per_second: int, rejected_megabytes: int
    ) -> None:
        """Start without any caller.

        Args:
            verifier: Judges tokens.
            lookups_per_second: Most look-ups of one client, on average over ten seconds.
            posts_per_second: Most requests with rows of one client, likewise.
            rejected_megabytes: Most that is kept of the rejected rows of one client within an hour, in 1,024 x 1,024
                bytes.
        """
        self._verifier = verifier
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._lookups = parse(f"{10 * lookups_per_second} per 10 second")
        self._posts = parse(f"{10 * posts_per_second} per 10 second")
        self._failures = parse("100 per 10 second")
        self._rejections = parse(f"{1024 * rejected_megabytes} per 1 hour")
        self._asking_issuer = CapacityLimiter(_ASKING_ISSUER)

    async def of_lookup(self, request: Request, scope: str) -> Caller:
        """The caller of a look-up. Call it before anything else, so that a caller without a token learns nothing about
        the request.

        Args:
            request: The request.
            scope: What the token must grant.

        Raises:
            HTTPException: The caller may not ask, or asks too often.
        """
        return await self._authorize(request, scope, self._lookups)

    async def of_rows(self, request: Request) -> Caller:
        """The caller who sends rows; see :meth:`of_lookup`."""
        return await self._authorize(request, WRITE, self._posts)

    async def _authorize(self, request: Request, scope: str, rate: RateLimitItem) -> Caller:
        try:
            caller = await self._caller_of(request.headers.get("authorization", ""))
            caller.require(scope)
        except IssuerError as error:
            _log.error("%s", error)
            raise HTTPException(503, "Try again later", {"Retry-After": "5"}) from None
        except TokenError as error:
            _log.info("401: %s", error)
            # A good token is never refused because of bad ones: many callers may share the address.
            if not self._limiter.hit(self._failures, request.client.host if request.client else ""):
                raise HTTPException(429, "Too many requests", {"Retry-After": "10"}) from None
            raise HTTPException(401, "No valid token", {"WWW-Authenticate": "Bearer"}) from None
        except ScopeError as error:
            _log.info("403: %s", error)
            raise HTTPException(403, "Not allowed") from None
        if not self._limiter.hit(rate, scope, caller.client, caller.subject):
            raise HTTPException(429, "Too many requests", {"Retry-After": "1"})
        return caller

    async def _caller_of(self, header: str) -> Caller:
        kind, _, text = header.partition(" ")
        token = text.strip() if kind.lower() == "bearer" else None
        caller = self._verifier.remembered(token)
        if caller is None:
            # Callers who wait for the issuer have threads of their own, so that others need not wait for them.
            threads = self._asking_issuer if self._verifier.may_wait(token) else None
            caller = await to_thread.run_sync(self._verifier.verify, token, limiter=threads)
        return caller

    def check_rejected(self, caller: Caller) -> None:
        """Refuse a caller when too many of their rejected rows were kept within the hour.

        Raises:
            HTTPException: Too much was kept.
        """
        writer = _writer(caller)
        if not self._limiter.test(self._rejections, *writer):
            reset_time = self._limiter.get_window_stats(self._rejections, *writer).reset_time
            wait = max(1, round(reset_time - time.time()))
            raise HTTPException(429, "Too many rejected rows", {"Retry-After": str(wait)})

    def count_rejected(self, caller: Caller, kept_bytes: int) -> None:
        """Count what was kept of the rejected rows of a caller."""
        if kept_bytes:
            writer = _writer(caller)
            left = self._limiter.get_window_stats(self._rejections, *writer).remaining
            self._limiter.hit(self._rejections, *writer, cost=min(left, -(-kept_bytes // 1024)))


def _writer(caller: Caller) -> tuple[str, str, str]:
    return "rejected", caller.client, caller.subject

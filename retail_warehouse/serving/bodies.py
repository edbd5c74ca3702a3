"""Reads request bodies within limits of time and memory, and turns them into events."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any

import orjson
from fastapi import HTTPException, Request, Response
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from retail_warehouse.serving.responses import refusal
from retail_warehouse.streaming.rows import COLUMNS, MOST_ROWS, AnyRow, Row
from retail_warehouse.streaming.rules import Event

MOST_BYTES = 8 << 20
MOST_BODIES = 32 << 20  # bytes of all bodies that are being read
BODY_SECONDS = 30
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_one = TypeAdapter(AnyRow)
_many = TypeAdapter(Annotated[list[AnyRow], Field(min_length=1, max_length=MOST_ROWS)])


class BytesLimit:
    """Limits the bytes of all bodies that are being read at the same time."""

    def __init__(self, most: int) -> None:
        """None is read yet.

        Args:
            most: Bytes at a time.
        """
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


def require_json(request: Request) -> None:
    """Make sure that the body is declared as uncompressed JSON.

    Raises:
        HTTPException: It is not.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The body must be application/json", {"Connection": "close"})
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        # https://www.rfc-editor.org/rfc/rfc9110#field.accept-encoding
        headers = {"Connection": "close", "Accept-Encoding": "identity"}
        raise HTTPException(415, "The body must not be compressed", headers)


async def read_body(
    request: Request, hold: Callable[[int], None] = lambda count: None, most: int = MOST_BYTES
) -> bytes:
    """The body of a request.

    Args:
        request: The request.
        hold: Gets the bytes of each piece, before it is kept; may raise HTTPException.
        most: Bytes.

    Raises:
        HTTPException: It is too large or takes too long.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise HTTPException(413, f"More than {most:,} bytes", {"Connection": "close"})
    parts = []
    count = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                hold(len(chunk))
                parts.append(chunk)
                count += len(chunk)
                if count > most:
                    raise HTTPException(413, f"More than {most:,} bytes", {"Connection": "close"})
    except TimeoutError:
        raise HTTPException(408, f"The body took more than {BODY_SECONDS} s", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(408, "The body ended early") from None  # which nobody reads
    return b"".join(parts)


def parse_events(body: bytes) -> list[Event] | Response:
    """The events of a body, or the answer that refuses it."""
    # Before it is parsed, which would take twenty times as much memory.
    if strings_written(body) > 2 * len(Row.model_fields) * MOST_ROWS or _is_nested(body):
        return refusal([{"type": "too_many", "loc": (), "msg": f"More than {MOST_ROWS:,} rows, or no rows"}], ("body",))
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return refusal([{"type": "json_invalid", "loc": (), "msg": f"Invalid JSON: {error}"}], ("body",))
    try:
        if isinstance(content, list):
            rows = _many.validate_python([_short(row) for row in content[: MOST_ROWS + 1]])
        else:
            rows = [_one.validate_python(_short(content))]
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        return refusal(errors, ("body",), kind_at=1 if isinstance(content, list) else 0)
    if strings_in(content) != strings_written(body):
        return refusal(_repeated_keys(body), ("body",))
    return [row.event() for row in rows]


def _is_nested(body: bytes) -> bool:
    """Whether a body holds more lists and objects than a list of rows can."""
    if body.count(b"{") + body.count(b"[") <= 2 * MOST_ROWS:
        return False
    outside = _STRING.sub(b"", body)
    return outside.count(b"{") + outside.count(b"[") > 2 * MOST_ROWS


def strings_in(content: list[dict[str, str | None]] | dict[str, str | None]) -> int:
    """The number of strings in parsed rows: keys, and values that are not null."""
    rows = content if isinstance(content, list) else [content]
    return sum(2 * len(row) - list(row.values()).count(None) for row in rows)


def strings_written(body: bytes) -> int:
    """The number of strings in a JSON text. If it differs from :func:`strings_in`, a key was repeated: parsers keep
    only the last value."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return body.count(b'"') // 2


def _repeated_keys(body: bytes) -> list[dict[str, Any]]:
    """The places where a row repeats a key. This takes ten times as long as parsing."""
    found: list[dict[str, Any]] = []
    rows = 0

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal rows
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                place = (rows, key) if is_list else (key,)
                found.append({"type": "repeated_key", "loc": place, "msg": "This key stands twice in one row"})
            seen.add(key)
        rows += 1

    is_list = body.lstrip()[:1] == b"["
    json.loads(body, object_pairs_hook=look)
    return found


def _short(row: Any) -> Any:
    # More keys than any row has are refused, and need not all be looked at.
    return dict(islice(row.items(), 2 * len(COLUMNS))) if isinstance(row, dict) and len(row) > len(COLUMNS) + 1 else row

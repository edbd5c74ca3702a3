"""Limits the connections of the API: how long one may take, and how many one address may hold."""

import asyncio
import ipaddress
import resource
from collections.abc import Collection, Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_OF_ADDRESS = 256  # connections at a time
MOST = 2_000  # of all addresses
RESERVED_FILES = 200  # files that the process may need besides connections
KEEP_ALIVE_SECONDS = 30
PROXY_KEEP_ALIVE_SECONDS = 120  # longer than load balancers keep a connection, or they would send into a closed one
END_SECONDS = 3  # for requests under way once the process is told to end
HEAD_SECONDS = 10
MOST_HEAD_BYTES = 64 << 10
REST_SECONDS = 5  # for a body that nobody reads, since the answer has been given
MOST_PIPELINED = 10  # requests that wait for the answer to one before them
ANSWER_SECONDS = 30  # for a client to take an answer
_FORWARDED = b"x-forwarded-for"


class Connections:
    """The open connections. When there is no room, an idle connection of the address with the most is closed."""

    def __init__(self, most: int = MOST, most_of_address: int | None = None, proxies: Iterable[str] = ()) -> None:
        """Begin without any.

        Args:
            most: Connections at a time.
            most_of_address: Those of one address; ``MOST_OF_ADDRESS`` without it.
            proxies: Addresses and networks of load balancers, which speak for many and have no limit of their own.
        """
        self._most = most
        self._most_of_address = most_of_address or MOST_OF_ADDRESS
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._seen: set[str] = set()  # of the proxies
        self._of_address: dict[str, dict[Protocol, None]] = {}
        self._count = 0

    def _address(self, peer: str) -> tuple[str, bool]:
        """What counts as one address, and whether it is a proxy's."""
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return peer, False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        is_proxy = any(address in network for network in self._proxies)
        # With IPv6, a client has a whole network of addresses.
        is_one = is_proxy or address.version == 4
        return str(address if is_one else ipaddress.ip_network((address, 64), strict=False)), is_proxy

    def admit(self, connection: "Protocol", peer: str) -> bool:
        """Whether a new connection may stay."""
        address, is_proxy = self._address(peer)
        own = self._of_address.get(address, {})
        if not is_proxy and len(own) >= self._most_of_address:
            return False
        if self._count >= self._most:
            richest = max(
                (found for of, found in self._of_address.items() if of not in self._seen), key=len, default={}
            )
            idle = next((one for one in richest if one.is_idle), None)
            if idle is None or (len(richest) <= len(own) and not is_proxy):
                return False
            idle.end()
        if is_proxy:
            self._seen.add(address)
            connection.timeout_keep_alive = PROXY_KEEP_ALIVE_SECONDS
        self._of_address.setdefault(address, {})[connection] = None
        self._count += 1
        connection.address = address
        return True

    def leave(self, connection: "Protocol") -> None:
        """Forget a connection."""
        own = self._of_address.get(connection.address or "", {})
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._of_address[connection.address or ""]


class Protocol(HttpToolsProtocol):
    """Limits time and size where uvicorn has no limit: headers, bodies that nobody reads, answers that nobody
    receives."""

    address: str | None = None
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See the base class, as below."""
        super().connection_made(transport)
        limits = getattr(self.config, "connections", None)
        if limits is not None and not limits.admit(self, self.client[0] if self.client else ""):
            transport.abort()
            return
        self._await_head()

    @property
    def is_idle(self) -> bool:
        """Whether no whole request is waiting for its answer."""
        return self.cycle is None or self.cycle.response_complete

    def end(self) -> None:
        """Cut the connection."""
        limits = getattr(self.config, "connections", None)
        if limits is not None:
            limits.leave(self)
        self._disconnect()
        self.transport.abort()

    def _disconnect(self) -> None:
        """Nobody writes to it any more."""
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.flow.resume_writing()

    def _later(self, timer: asyncio.TimerHandle | None, seconds: float, work: Any) -> asyncio.TimerHandle:
        return timer or self.loop.call_later(seconds, work)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
        self._head_timer = self._later(self._head_timer, HEAD_SECONDS, self._close)

    def _close(self) -> None:
        if self.transport is not None:
            self._disconnect()
            self.transport.close()
            self._watch_answer()

    def _watch_answer(self) -> None:
        """What was written has to be taken in time; a transport that is closed waits for that, too."""
        if self.transport.get_write_buffer_size():
            self._answer_timer = self._later(self._answer_timer, ANSWER_SECONDS, self._check_answer)

    def _check_answer(self) -> None:
        self._answer_timer = None
        if self.transport.get_write_buffer_size():
            self._disconnect()
            self.transport.abort()

    def _end_timer(self, name: str) -> None:
        timer = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:  # noqa: D102
        super().resume_writing()
        self._end_timer("_answer_timer")

    def on_message_begin(self) -> None:  # noqa: D102
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many requests before the first is answered")  # which is answered 400
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:  # noqa: D102
        self._end_timer("_head_timer")
        super().on_headers_complete()

    def on_message_complete(self) -> None:  # noqa: D102
        self._end_timer("_rest_timer")
        if self.cycle is not None:
            self.cycle.more_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:  # noqa: D102
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self._rest_timer = self._later(self._rest_timer, REST_SECONDS, self._close)
        self._watch_answer()

    def send_400_response(self, msg: str) -> None:  # noqa: D102
        super().send_400_response(msg)
        self._watch_answer()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        timer = self._head_timer
        super().data_received(data)
        if self._head_timer is None and self.is_idle and not (self.cycle and self.cycle.more_body):
            self._await_head()  # empty lines before a head, of which nobody tells
        if timer is not None and timer is self._head_timer:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        for name in ("_head_timer", "_rest_timer", "_answer_timer"):
            self._end_timer(name)
        limits = getattr(self.config, "connections", None)
        if limits is not None:
            limits.leave(self)
        super().connection_lost(exc)


class _CallerHeader:
    """Gives uvicorn the header in which proxies name the caller as the only one that it knows, ``X-Forwarded-For``.
    What a client itself has written there is dropped."""

    def __init__(self, app: Any, name: str) -> None:
        self._app, self._name = app, name.lower().encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["headers"] = [
                (_FORWARDED if name == self._name else name, value)
                for name, value in scope["headers"]
                if name != _FORWARDED
            ]
        await self._app(scope, receive, send)


class Config(uvicorn.Config):
    """How uvicorn serves the API.

    Attributes:
        connections: Limits them.
    """

    def __init__(
        self,
        app: Any,
        connections: Connections,
        proxies: Collection[str] = (),
        caller_header: str = "X-Forwarded-For",
        **options: Any,
    ) -> None:
        """Serve an application.

        Args:
            app: ASGI application.
            connections: Limits them.
            proxies: Addresses and networks of proxies that are believed when they name the caller.
            caller_header: The header in which they name it.
            options: Of :class:`uvicorn.Config`.
        """
        self.connections, self._caller_header = connections, caller_header
        super().__init__(
            app,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
            http=Protocol,
            ws="none",
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            **options,
        )

    def load(self) -> None:
        """See the base class."""
        super().load()
        if self.proxy_headers and self._caller_header.lower().encode() != _FORWARDED:
            self.loaded_app = _CallerHeader(self.loaded_app, self._caller_header)


def most_connections() -> tuple[int, str]:
    """Raise the limit of open files as far as it is allowed, and return how many connections that allows, with a
    warning if these are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED_FILES
    if soft < wanted and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= wanted:
        return MOST, ""
    most = max(soft - RESERVED_FILES, soft // 2)
    return most, (
        f"This process may open {soft:,} files, so that it takes {most:,} connections at a time. Raise the limit to "
        f"{wanted:,} for {MOST:,} (ulimit -n, LimitNOFILE of systemd, ulimits of a container)."
    )

"""The wire protocol: between redshift_connector, which speaks to Redshift, and PostgreSQL.

https://www.postgresql.org/docs/15/protocol-message-formats.html
"""

import asyncio
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .refusals import NotEmulated, Refused
from .rewrite import rewrite

_PROTOCOL_3 = 196608
_CANCEL = 80877102
_ENCRYPTION = (80877103, 80877104)  # SSL and GSS
# Start-up parameters that PostgreSQL knows; redshift_connector sends some of its own.
_STARTUP_PARAMETERS = {"user", "database", "application_name", "client_encoding"}
_VERSION = b"8.0.2"  # what Redshift says; the driver cannot read the one of a Debian package
_REFUSED = b"[redshift: "
_NOT_EMULATED = b"[stand-in: not emulated] "
_DDL = re.compile(r"(?:\s|/\*.*?\*/|--[^\n]*\n)*(?:create|alter|drop)\b", re.IGNORECASE | re.DOTALL)


@dataclass
class Counts:
    """What came so far.

    Attributes:
        statements: All that were sent.
        refused: Those that a rule of refusals.py refused.
        not_emulated: Those that the stand-in cannot run.
    """

    statements: int = 0
    refused: int = 0
    not_emulated: int = 0


class Proxy:
    """Listens on a free port of this machine, in an event loop in a thread of its own."""

    def __init__(self, socket: Path, log: Path | None = None, after_ddl: Callable[[], object] = lambda: None) -> None:
        """Listens to nobody yet.

        Args:
            socket: That of PostgreSQL.
            log: A file to which each statement is added.
            after_ddl: Called after a transaction that changed the schema, before the client goes on.
        """
        self.counts = Counts()
        self._socket = socket
        self._after_ddl = after_ddl
        self._one_at_a_time = asyncio.Lock()
        self._log = log.open("a", buffering=1) if log else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="redshift_stand_in proxy", daemon=True)

    def start(self) -> int:
        """Starts to listen; returns the port."""
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        return self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Closes all connections and ends the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._log:
            self._log.close()

    async def _close(self) -> None:
        self._server.close()
        sessions = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def settle(self) -> None:
        """Does what is to be done after DDL; in a thread, since it waits for PostgreSQL."""
        async with self._one_at_a_time:
            await self._loop.run_in_executor(None, self._after_ddl)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, reader, writer)
        try:
            await session.run(self._socket)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            session.close()

    def translate(self, sql: str, parameters: int) -> str:
        """The statement for PostgreSQL; where there is none, one that raises the reason.

        PostgreSQL raises it, so that the transaction fails as it would on Redshift.
        """
        self.counts.statements += 1
        reason = None
        try:
            text = rewrite(sql)
        except (Refused, NotEmulated) as error:
            reason = str(error)
        except Exception as error:  # A fault in here must not let the statement pass.
            reason = f"[stand-in: error] {type(error).__name__}: {error}"
        if reason is not None:
            literal = reason.replace("'", "''")
            arguments = "".join(f", ${number}::text" for number in range(1, parameters + 1))
            text = f"select rs.fail('{literal}'{arguments})"
        if self._log:
            line = {"at": round(time.time(), 3), "redshift": sql, "postgres": text, "error": reason}
            self._log.write(json.dumps(line) + "\n")
        return text


class _Session:
    """One connection of a client, and the one to PostgreSQL that answers it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = reader
        self._to_client = writer
        self._to_server: asyncio.StreamWriter | None = None
        self._truncated = False
        self._committing = False
        self._has_ddl = False

    async def run(self, socket: Path) -> None:
        code, data = await self._first_packet()
        server, self._to_server = await asyncio.open_unix_connection(str(socket))
        if code == _CANCEL:
            self._to_server.write(struct.pack("!i", len(data) + 4) + data)
            await self._to_server.drain()
            return
        self._to_server.write(_startup_packet(data))
        answers = asyncio.create_task(self._answer(server))
        try:
            await self._ask()
            await answers
        finally:
            answers.cancel()

    def close(self) -> None:
        for writer in (self._to_server, self._to_client):
            if writer:
                writer.close()

    async def _first_packet(self) -> tuple[int, bytes]:
        while True:
            (size,) = struct.unpack("!i", await self._client.readexactly(4))
            data = await self._client.readexactly(size - 4)
            (code,) = struct.unpack("!i", data[:4])
            if code not in _ENCRYPTION:
                return code, data
            self._to_client.write(b"N")
            await self._to_client.drain()

    async def _ask(self) -> None:
        """Passes on what the client sends, its statements rewritten."""
        assert self._to_server
        kind = b""
        while kind != b"X":  # Terminate
            kind = await self._client.readexactly(1)
            (size,) = struct.unpack("!i", await self._client.readexactly(4))
            body = await self._client.readexactly(size - 4)
            if kind == b"P":  # Parse: the statement's name, its text, and its parameters
                name, sql, parameters = body.split(b"\0", 2)
                (number,) = struct.unpack("!h", parameters[:2])
                self._has_ddl |= bool(_DDL.match(sql.decode()))
                body = b"\0".join((name, self._proxy.translate(sql.decode(), number).encode(), parameters))
            elif kind == b"Q":  # Query
                self._has_ddl |= bool(_DDL.match(body.decode()))
                body = self._proxy.translate(body[:-1].decode(), 0).encode() + b"\0"
            self._to_server.write(_message(kind, body))
            await self._to_server.drain()
        self._to_server.close()

    async def _answer(self, server: asyncio.StreamReader) -> None:
        """Passes on what the server answers."""
        waiting = b""
        try:
            while chunk := await server.read(65536):
                waiting += chunk
                passed = []
                complete = 0
                for kind, body, end in _messages(waiting):
                    complete = end
                    if kind == b"Z" and body == b"I" and self._has_ddl:
                        self._has_ddl = False
                        await self._proxy.settle()
                    message = self._answered(kind, body)
                    if message:
                        passed.append(message)
                waiting = waiting[complete:]
                self._to_client.write(b"".join(passed))
                await self._to_client.drain()
        except ConnectionError:
            pass
        finally:
            self._to_client.close()

    def _answered(self, kind: bytes, body: bytes) -> bytes | None:
        if self._committing:
            # Nobody but us asked for it: of the answers to COMMIT only the last, which tells the state, goes on.
            if kind not in b"ZE":
                return None
            self._committing = kind != b"Z"
        elif kind == b"S" and body.startswith(b"server_version\0"):
            body = b"server_version\0" + _VERSION + b"\0"
        elif kind == b"E":
            counts = self._proxy.counts
            counts.refused += _REFUSED in body
            counts.not_emulated += _NOT_EMULATED in body
            self._truncated = False
        elif kind == b"C" and body.startswith(b"TRUNCATE TABLE"):
            self._truncated = True
        elif kind == b"Z" and self._truncated:
            # TRUNCATE commits: https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html
            self._truncated = False
            if body == b"T":  # a transaction is open
                assert self._to_server
                self._committing = True
                self._to_server.write(_message(b"Q", b"commit\0"))
                return None
        return _message(kind, body)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _messages(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """The complete messages, each with where the next one starts."""
    position = 0
    while len(data) - position >= 5:
        (size,) = struct.unpack_from("!i", data, position + 1)
        end = position + 1 + size
        if end > len(data):
            return
        yield data[position : position + 1], data[position + 5 : end], end
        position = end


def _startup_packet(data: bytes) -> bytes:
    parts = data[4:].split(b"\0")
    parameters = zip(parts[::2], parts[1::2], strict=False)
    kept = b"".join(name + b"\0" + value + b"\0" for name, value in parameters if name.decode() in _STARTUP_PARAMETERS)
    body = struct.pack("!i", _PROTOCOL_3) + kept + b"\0"
    return struct.pack("!i", len(body) + 4) + body

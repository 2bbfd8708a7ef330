"""JSON-RPC to a node over one WebSocket, which is opened anew whenever it breaks.

Every call that this package makes may be made twice, transactions too: a transaction that is known already is not
taken a second time. So whatever waited for its answer when the connection broke is asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException

from labora._errors import ProtocolError, RpcError, Unreachable

#: Longest message that is read: metadata is 1 MB in hex, the events of a full block some more.
MAX_MESSAGE_BYTES = 64 << 20

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

_log = logging.getLogger("labora")


class Rpc:
    """A node's JSON-RPC. ``timeout_s``: how long a call may take, with all that it takes to connect."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parsed = urlsplit(url)
        if parsed.scheme not in ("ws", "wss") or not parsed.hostname:
            raise ValueError(f"{url!r} is no node's RPC: give ws://host:9944 or wss://host")
        self._url = url
        # Without a password that an address may have.
        self.where = f"{parsed.scheme}://{parsed.hostname}" + (f":{parsed.port}" if parsed.port else "")
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._was_connected = False
        self._is_closed = False

    async def call(self, method: str, *params: Any, timeout_s: float | None = None) -> Any:
        """The answer to a call.

        :class:`labora.RpcError` if the node refuses it; :class:`labora.Unreachable` if there is no answer in time.
        """
        deadline = time.monotonic() + (timeout_s or self._timeout_s)
        pause_s = _FIRST_PAUSE_S
        while True:
            left_s = deadline - time.monotonic()
            try:
                return await asyncio.wait_for(self._once(method, params), max(left_s, 0.001))
            except (asyncio.TimeoutError, TimeoutError):
                raise Unreachable(f"{self.where}: no answer to {method} in time; does a node run there?") from None
            except InvalidURI as error:
                raise Unreachable(f"{self.where} is no address of a WebSocket") from error
            except (OSError, WebSocketException, _Broken) as error:
                # Where there was a node before it may be restarted; where there was none the address is wrong.
                if not self._was_connected or self._is_closed or time.monotonic() + pause_s > deadline:
                    raise Unreachable(f"{self.where}: {_words(error)}; does a node run there?") from error
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Closes the connection; calls after that fail."""
        self._is_closed = True
        await self._drop(self._connection)

    async def _once(self, method: str, params: tuple[Any, ...]) -> Any:
        connection = await self._connected()
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            request = {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            await connection.send(json.dumps(request))
            message = await answer
        finally:
            self._waiting.pop(number, None)
        if "error" in message:
            raise _refusal(method, message["error"])
        if "result" not in message:
            raise ProtocolError(f"{self.where} answers {method} with neither a result nor an error")
        return message["result"]

    async def _connected(self) -> ClientConnection:
        async with self._connecting:
            if self._is_closed:
                raise _Broken("the client was closed")
            if self._connection is None:
                self._connection = await connect(self._url, max_size=MAX_MESSAGE_BYTES, open_timeout=self._timeout_s)
                self._was_connected = True
                self._reader = asyncio.create_task(self._read(self._connection))
                _log.debug("connected to %s", self.where)
            return self._connection

    async def _read(self, connection: ClientConnection) -> None:
        reason: Exception = _Broken("the connection was closed")
        try:
            async for text in connection:
                message = json.loads(text)
                number = message.get("id") if isinstance(message, dict) else None
                answer = self._waiting.get(number) if isinstance(number, int) else None
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except (OSError, WebSocketException) as error:
            reason = _Broken(_words(error))
        except ValueError:
            reason = _Broken("what answers there speaks no JSON")
        finally:
            if self._connection is connection:
                self._connection = None
            waiting, self._waiting = self._waiting, {}
            for answer in waiting.values():
                if not answer.done():
                    answer.set_exception(reason)
                    # Whoever waited may have been cancelled.
                    answer.exception()
            with contextlib.suppress(Exception):
                await connection.close()

    async def _drop(self, connection: ClientConnection | None) -> None:
        if connection is not None:
            with contextlib.suppress(OSError, WebSocketException):
                await connection.close()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=5)


class _Broken(Exception):
    """The connection broke before an answer came."""


def _refusal(method: str, error: Any) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(method, 0, str(error)[:1_000])
    sentence = str(error.get("message", "no reason given"))
    # What the pool has against a transaction stands in the data.
    if error.get("data") is not None:
        sentence = f"{sentence}: {error['data']}"
    code = error.get("code")
    return RpcError(method, code if isinstance(code, int) else 0, sentence[:1_000])


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

"""HTTP/1.1 to one endpoint, over TCP or a Unix socket, with connections kept for the next request."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from labora._errors import Unreachable

#: Connections kept open while unused.
MAX_IDLE_CONNECTIONS = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """Where a node listens: either ``path`` of a Unix socket, or ``host`` and ``port``."""

    path: str | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read ``http://host:port``, ``host:port``, ``unix:/path`` or ``/path``."""
        for prefix in ("unix://", "unix:"):
            if text.startswith(prefix):
                return cls(path=text[len(prefix) :])
        if text.startswith("/"):
            return cls(path=text)
        url = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = url.port
        except ValueError:
            port = None
        if url.scheme != "http" or not url.hostname or not port or url.path.strip("/"):
            raise ValueError(f"{text!r} is no endpoint: give http://host:port or unix:/path/to/gemm.sock")
        return cls(host=url.hostname, port=port)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """A new connection, not yet connected."""
        if self.path is not None:
            return _UnixConnection(self.path, timeout_s)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Request:
    """One request; ``body`` is sent part by part, without being copied together."""

    method: str
    target: str
    headers: dict[str, str]
    body: Sequence[memoryview] = ()


class Transport:
    """Sends requests. May be used by many threads at once."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()

    def send(self, request: Request, read: Callable[[http.client.HTTPResponse], T]) -> T:
        """Send one request and hand the response to ``read``, which must read it to its end.

        A kept connection that the node has closed meanwhile is replaced once; every request here may be repeated.
        """
        kept = self._take()
        if kept is not None:
            try:
                return self._exchange(kept, request, read)
            except Unreachable:
                pass
        return self._exchange(self.endpoint.connection(self._timeout_s), request, read)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        request: Request,
        read: Callable[[http.client.HTTPResponse], T],
    ) -> T:
        length = sum(part.nbytes for part in request.body)
        headers = {**request.headers, "Content-Length": str(length)}
        try:
            connection.request(request.method, request.target, iter(request.body), headers)
            response = connection.getresponse()
            result = read(response)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(f"{self.endpoint}: {_words(error)}; does a node run there?") from error
        except BaseException:
            connection.close()
            raise
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._keep(connection)
        return result

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            if self._process != os.getpid():
                # Forked: the parent goes on using these connections.
                self._process, self._idle = os.getpid(), []
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE_CONNECTIONS and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

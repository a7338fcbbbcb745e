"""What the methods of `Client` and `AsyncClient` need: endpoints, credentials, and how to wait."""

from __future__ import annotations

import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import grpc

# A JSON Web Token, or what returns one.
Token: TypeAlias = str | Callable[[], str]

CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.service_config", files(__package__).joinpath("service_config.json").read_text()),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Another PING, which measures the bandwidth, holds back that of keepalive. The default is 60 s.
    ("grpc.http2.ping_timeout_ms", 5_000),
    # By default PINGs stop after two while the client sends no data, and a watch sends none.
    ("grpc.http2.max_pings_without_data", 0),
    # A replica that is back is found within about a second. The default is up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Also the timeout of a connection attempt, in spite of its name.
    ("grpc.min_reconnect_backoff_ms", 3_000),
    # A name may have new addresses. The default is 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Otherwise a new channel shares connections, and the backoff of connecting, with older ones.
    ("grpc.use_local_subchannel_pool", 1),
]


class Reader(Protocol):
    """Reads a stream."""

    async def read(self) -> Any | None:
        """The next message, or None at the end of the stream.

        Raises:
            SilenceError: No message came for `SILENCE` seconds, or until the time that
                `answer_by` returned.
        """


class Queue(Protocol):
    """The requests of a stream, which end with None."""

    def put_nowait(self, request: Any, /) -> None:
        """Adds a request."""


class Semaphore(Protocol):
    """Room for requests."""

    @property
    def acquire(self) -> Callable[[], Any]:
        """Waits for room and takes it."""

    @property
    def release(self) -> Callable[[], Any]:
        """Gives room back."""


class Future(Protocol):
    """A result that another thread or task sets."""

    def done(self) -> bool:
        """Whether there is a result."""

    def set_result(self, result: Any, /) -> None:
        """Sets the result."""

    def set_exception(self, error: Any, /) -> None:
        """Sets an error in place of the result."""

    def exception(self) -> BaseException | None:
        """The error."""


class ClientBase(ABC):
    """Endpoints, their channels and credentials.

    The methods of both clients are written once, as coroutines. Those of `Client` never suspend:
    what they await blocks.
    """

    # `grpc` or `grpc.aio`.
    _grpc: ModuleType
    # Makes the reader of a stream that has begun. A stream that may be silent has a function
    # that returns when the next message must be there, on the clock of `time.monotonic`.
    _reader: Callable[..., Reader]

    def __init__(
        self,
        endpoints: str | Iterable[str],
        *,
        tls_ca: str | os.PathLike[str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: Token | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Takes the endpoints, which are replicas of each other. The first call connects.

        Args:
            endpoints: `HOST:PORT`. Several are separated by commas, or are an iterable.
            tls_ca: PEM file of the CA of the servers. It turns TLS on.
            credentials: Turns TLS on with other settings than `tls_ca`, such as mutual TLS:
                `grpc.ssl_channel_credentials(ca, key, certificate)`.
            token: A JSON Web Token, or a function that returns one, which is called for every call
                and every stream. It needs TLS.
            timeout: Deadline of a call at one endpoint, in seconds. It does not limit a watch.
        """
        if isinstance(endpoints, str):
            endpoints = endpoints.split(",")
        self.endpoints = tuple(map(_checked, endpoints))
        if not self.endpoints:
            raise ValueError("no endpoint: name at least one, as HOST:PORT")
        if tls_ca is not None:
            credentials = grpc.ssl_channel_credentials(Path(tls_ca).read_bytes())
        if token is not None and credentials is None:
            raise ValueError("a token is never sent in plain text: set tls_ca, too")
        self._credentials = credentials
        self._token = token
        self._timeout = timeout
        self._answered_last = 0
        # The channels of calls. They are made with the first call, because those of asyncio belong
        # to the event loop that is running then.
        self._channels: dict[int, Any] = {}
        # The channels of watches and publishers.
        self._streaming: set[Any] = set()
        self._closed = threading.Event()

    @abstractmethod
    async def _wait(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a function of gRPC and waits for its result."""

    @abstractmethod
    async def _sleep(self, seconds: float) -> None:
        """Waits for a time, in seconds."""

    @abstractmethod
    def _queue(self) -> Queue:
        """An empty queue."""

    @abstractmethod
    def _requests(self, queue: Any) -> Any:
        """The requests of a queue, as gRPC wants them."""

    @abstractmethod
    def _semaphore(self, room: int) -> Semaphore:
        """A semaphore."""

    @abstractmethod
    def _future(self) -> Future:
        """A future."""

    @abstractmethod
    async def _outcome(self, future: Any) -> Any:
        """Waits for the result of a future."""

    @abstractmethod
    def _start(self, work: Coroutine[Any, Any, None]) -> Any:
        """Runs a coroutine beside the caller, and returns what `_join` waits for."""

    @abstractmethod
    async def _join(self, running: Any) -> None:
        """Ends what `_start` began."""

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token is None:
            return ()
        token = self._token if isinstance(self._token, str) else self._token()
        return (("authorization", f"Bearer {token.strip()}"),)

    def _connect(self, endpoint: int) -> Any:
        target = f"dns:///{self.endpoints[endpoint]}"
        if self._credentials is None:
            return self._grpc.insecure_channel(target, CHANNEL_OPTIONS)
        return self._grpc.secure_channel(target, self._credentials, CHANNEL_OPTIONS)

    def _channel(self, endpoint: int) -> Any:
        if endpoint not in self._channels:
            # Another thread may be faster.
            self._channels.setdefault(endpoint, self._connect(endpoint))
        return self._channels[endpoint]

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ValueError("the client is closed")


def _checked(endpoint: str) -> str:
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}", endpoint):
        raise ValueError(f"endpoint {endpoint!r} is not of the form HOST:PORT")
    return endpoint

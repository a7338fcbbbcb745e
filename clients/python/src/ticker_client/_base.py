"""What `Client` and `AsyncClient` share: where and how to connect, and what a watch asks for."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import grpc

from . import contract
from ._calls import Caller
from ._history import listed
from ._proto.ticker.v1 import ticker_pb2 as pb
from ._resume import Metadata, Resume
from ._times import Time, timestamp

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


class ClientBase:
    """Endpoints and credentials. Has no channels."""

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
        self._targets = [f"dns:///{endpoint}" for endpoint in self.endpoints]
        self._credentials = credentials
        self._token = token
        self._timeout = timeout
        self._caller = Caller(self.endpoints, timeout)
        self._closed = threading.Event()
        self._open()

    def _open(self) -> None:
        """Makes the channels, where they need no event loop. They connect with the first call."""

    def _metadata(self) -> Metadata:
        if self._token is None:
            return ()
        token = self._token if isinstance(self._token, str) else self._token()
        return (("authorization", f"Bearer {token.strip()}"),)

    def _live(
        self,
        symbols: str | Iterable[str],
        quotes: bool,
        every_tick: bool,
        after_sequence: Mapping[str, int] | None,
        tape_id: str,
        timeout: float | None,
    ) -> Resume:
        request = contract.WatchRequest(
            symbols=listed(symbols),
            delivery=pb.DELIVERY_EVERY_TICK if every_tick else pb.DELIVERY_LATEST,
            detail=pb.DETAIL_QUOTE if quotes else pb.DETAIL_LTP,
            after_sequence=after_sequence,
            tape_id=tape_id,
        )
        return self._resume(request, timeout)

    def _past(
        self,
        symbols: str | Iterable[str],
        start: Time,
        end: Time | None,
        speed: float,
        quotes: bool,
    ) -> Resume:
        request = contract.WatchRequest(
            symbols=listed(symbols),
            delivery=pb.DELIVERY_EVERY_TICK,
            detail=pb.DETAIL_QUOTE if quotes else pb.DETAIL_LTP,
            start_time=timestamp(start),
            end_time=None if end is None else timestamp(end),
            speed=speed,
        )
        return self._resume(request)

    def _resume(self, request: contract.WatchRequest, timeout: float | None = None) -> Resume:
        if self._closed.is_set():
            raise ValueError("the client is closed")
        return Resume(self.endpoints, request, self._metadata, timeout)


def _checked(endpoint: str) -> str:
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}", endpoint):
        raise ValueError(f"endpoint {endpoint!r} is not of the form HOST:PORT")
    return endpoint

"""Unary calls that fail over. Without I/O: `Client` and `AsyncClient` carry out the steps."""

import itertools
import random
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import grpc

from .contract import RequestT, ResponseT, Rpc
from .errors import CallError

T = TypeVar("T")

RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass(frozen=True, slots=True)
class Call:
    """Make this call at this endpoint; send its response back, or throw its `RpcError`."""

    endpoint: int
    rpc: Rpc[Any, Any]
    request: Any


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this long, in seconds."""

    seconds: float


Steps: TypeAlias = Generator[Call | Pause, Any, T]


class Backoff:
    """Exponential backoff with full jitter: from zero up to 50 ms, 100 ms, … 1 s."""

    def __init__(self) -> None:
        self._longest = 0.05

    def next(self) -> float:
        """How long to wait before the next attempt, in seconds."""
        pause = random.uniform(0, self._longest)
        self._longest = min(2 * self._longest, 1.0)
        return pause


class Caller:
    """Makes calls at the endpoint that answered last, and at the next one when it does not answer.

    The channel of an endpoint has retried UNAVAILABLE already, as its service config says.
    """

    def __init__(self, endpoints: tuple[str, ...], timeout: float) -> None:
        self._endpoints = endpoints
        self._timeout = timeout
        self._answered_last = 0

    def call(self, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> Steps[ResponseT]:
        """Tries every endpoint at least once, and goes on until the timeout is over."""
        first, count = self._answered_last, len(self._endpoints)
        give_up = time.monotonic() + self._timeout
        backoff = Backoff()
        for tried in itertools.count(1):
            endpoint = (first + tried - 1) % count
            try:
                response: ResponseT = yield Call(endpoint, rpc, request)
            except grpc.RpcError as error:
                is_last = tried >= count and time.monotonic() >= give_up
                if error.code() not in RETRYABLE or is_last:
                    name, details = self._endpoints[endpoint], error.details() or ""
                    raise CallError(name, error.code(), details) from error
            else:
                self._answered_last = endpoint
                return response
            if tried >= count:
                yield Pause(backoff.next())
        raise AssertionError("the loop has no end")

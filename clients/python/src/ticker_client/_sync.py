"""`Client`, whose calls and watches block."""

import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from . import _calls, _history
from ._base import ClientBase
from ._resume import SILENCE, SilenceError
from .contract import WatchResponse

P = ParamSpec("P")
T = TypeVar("T")


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, which needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a coroutine of Client was suspended")


def _blocking(
    method: Callable[Concatenate[ClientBase, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[ClientBase, P], T]:
    @wraps(method)
    def call(client: ClientBase, /, *arguments: P.args, **options: P.kwargs) -> T:
        return _result(method(client, *arguments, **options))

    return call


def _iterating(
    method: Callable[Concatenate[ClientBase, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[ClientBase, P], Generator[T, None, None]]:
    def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        try:
            while True:
                yield _result(anext(items))
        except StopAsyncIteration:
            return
        finally:
            _result(items.aclose())

    # Not a generator itself, so that a wrong argument is an error at once.
    @wraps(method)
    def call(
        client: ClientBase, /, *arguments: P.args, **options: P.kwargs
    ) -> Generator[T, None, None]:
        return iterate(method(client, *arguments, **options))

    return call


class _Reader:
    """Cancels its stream when the caller waits too long for a message."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._give_up = math.inf
        self._is_silent = False
        self._ended = threading.Event()
        # It is False when the stream has ended already.
        if stream.add_callback(self._ended.set):
            threading.Thread(target=self._guard, name="ticker-client silence", daemon=True).start()

    async def read(self) -> WatchResponse | None:
        self._give_up = time.monotonic() + SILENCE
        try:
            message: WatchResponse | None = next(self._stream, None)
        except grpc.RpcError:
            if self._is_silent:
                raise SilenceError from None
            raise
        # A caller that is busy for long is not a stream that is silent.
        self._give_up = math.inf
        return message

    def _guard(self) -> None:
        pause = SILENCE
        while not self._ended.wait(pause):
            left = self._give_up - time.monotonic()
            if left <= 0:
                self._is_silent = True
                self._stream.cancel()
                return
            pause = min(SILENCE, left)


class Client(ClientBase):
    """Live ticks, history and instruments from whichever endpoint answers. Its methods block.

    Several threads may use one client.
    """

    watch = _iterating(_calls.watch)
    replay = _iterating(_calls.replay)
    ticks = _blocking(_history.ticks)
    candles = _blocking(_history.candles)
    last_prices = _blocking(_history.last_prices)
    instruments = _blocking(_history.instruments)
    tape = _blocking(_history.tape)
    call = _blocking(_calls.call)
    pages = _iterating(_calls.pages)
    close = _blocking(_calls.close)

    _grpc = grpc
    _reader = _Reader

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _wait(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    async def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

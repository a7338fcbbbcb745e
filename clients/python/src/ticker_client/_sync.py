"""`Client`, whose calls and watches block."""

import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from functools import wraps
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from . import _calls, _history, _publish
from ._attempts import SILENCE, SilenceError
from ._base import ClientBase
from ._new_tick import PublisherEvent
from ._publish import PublisherBase

P = ParamSpec("P")
T = TypeVar("T")
SelfT = TypeVar("SelfT")


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, which needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a coroutine of Client was suspended")


def _blocking(
    method: Callable[Concatenate[SelfT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SelfT, P], T]:
    @wraps(method)
    def call(self: SelfT, /, *arguments: P.args, **options: P.kwargs) -> T:
        return _result(method(self, *arguments, **options))

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

    def __init__(self, stream: Any, answer_by: Callable[[], float] | None = None) -> None:
        self._stream = stream
        self._give_up = math.inf
        self._answer_by = answer_by or (lambda: self._give_up)
        self._is_silent = False
        self._ended = threading.Event()
        # It is False when the stream has ended already.
        if stream.add_callback(self._ended.set):
            threading.Thread(target=self._guard, name="ticker-client silence", daemon=True).start()

    async def read(self) -> Any | None:
        self._give_up = time.monotonic() + SILENCE
        try:
            message = next(self._stream, None)
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
            left = self._answer_by() - time.monotonic()
            if left <= 0:
                self._is_silent = True
                self._stream.cancel()
                return
            pause = min(SILENCE, left)


class Publisher(PublisherBase):
    __doc__ = PublisherBase.__doc__

    publish = _blocking(_publish.publish)
    send = _blocking(_publish.send)
    flush = _blocking(_publish.flush)
    close = _blocking(_publish.close)

    def __enter__(self) -> "Publisher":
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()


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

    def publisher(
        self,
        publisher_id: str | None = None,
        *,
        first_number: int = 1,
        on_event: Callable[[PublisherEvent], None] | None = None,
    ) -> Publisher:
        """Publishes ticks to a server with a feed. The arguments are those of `Publisher`."""
        return Publisher(self, publisher_id, first_number=first_number, on_event=on_event)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _wait(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    async def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _queue(self) -> "SimpleQueue[Any]":
        return SimpleQueue()

    def _requests(self, queue: "SimpleQueue[Any]") -> Iterator[Any]:
        return iter(queue.get, None)

    def _semaphore(self, room: int) -> threading.Semaphore:
        return threading.Semaphore(room)

    def _future(self) -> "Future[Any]":
        return Future()

    async def _outcome(self, future: "Future[Any]") -> Any:
        return future.result()

    def _start(self, work: Coroutine[Any, Any, None]) -> threading.Thread:
        thread = threading.Thread(
            target=_result, args=(work,), name="ticker-client publisher", daemon=True
        )
        thread.start()
        return thread

    async def _join(self, running: threading.Thread) -> None:
        running.join()

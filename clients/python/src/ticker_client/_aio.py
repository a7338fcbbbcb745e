"""`AsyncClient`, whose calls and watches are awaited."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc.aio

from . import _calls, _history, _publish
from ._attempts import SILENCE, SilenceError
from ._base import ClientBase
from ._new_tick import PublisherEvent
from ._publish import PublisherBase


class _Reader:
    def __init__(self, stream: Any, answer_by: Callable[[], float] | None = None) -> None:
        self._stream = stream
        self._answer_by = answer_by

    async def read(self) -> Any | None:
        # Not `wait_for`, which forgets some cancellations before Python 3.12.
        reading = asyncio.ensure_future(self._stream.read())
        give_up = time.monotonic() + SILENCE
        while not reading.done():
            left = (self._answer_by() if self._answer_by else give_up) - time.monotonic()
            if left <= 0:
                raise SilenceError
            await asyncio.wait({reading}, timeout=min(SILENCE, left))
        # grpc.aio cancels the reader when `close` is called elsewhere.
        if reading.cancelled():
            return None
        message = reading.result()
        return None if message is grpc.aio.EOF else message


class AsyncPublisher(PublisherBase):
    """`Publisher` for asyncio."""

    publish = _publish.publish
    send = _publish.send
    flush = _publish.flush
    close = _publish.close

    async def __aenter__(self) -> "AsyncPublisher":
        self._begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self.close()


class AsyncClient(ClientBase):
    """`Client` for asyncio. It belongs to the event loop that uses it first."""

    watch = _calls.watch
    replay = _calls.replay
    ticks = _history.ticks
    candles = _history.candles
    last_prices = _history.last_prices
    instruments = _history.instruments
    tape = _history.tape
    call = _calls.call
    pages = _calls.pages
    close = _calls.close

    _grpc = grpc.aio
    _reader = _Reader

    def publisher(
        self,
        publisher_id: str | None = None,
        *,
        first_number: int = 1,
        on_event: Callable[[PublisherEvent], None] | None = None,
    ) -> AsyncPublisher:
        """Publishes ticks to a server with a feed. The arguments are those of `Publisher`."""
        return AsyncPublisher(self, publisher_id, first_number=first_number, on_event=on_event)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _wait(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return await function(*arguments, **options)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _queue(self) -> asyncio.Queue[Any]:
        return asyncio.Queue()

    async def _requests(self, queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
        while (request := await queue.get()) is not None:
            yield request

    def _semaphore(self, room: int) -> asyncio.Semaphore:
        return asyncio.Semaphore(room)

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def _outcome(self, future: asyncio.Future[Any]) -> Any:
        # Another task may wait for it, too, and go on when this one is cancelled.
        return await asyncio.shield(future)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    async def _join(self, running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.wait({running})

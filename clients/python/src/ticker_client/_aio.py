"""`AsyncClient`, whose calls and watches are awaited."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc.aio

from . import _calls, _history
from ._base import ClientBase
from ._resume import SILENCE, SilenceError
from .contract import WatchResponse


class _Reader:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def read(self) -> WatchResponse | None:
        # Not `wait_for`, which forgets some cancellations before Python 3.12.
        reading = asyncio.ensure_future(self._stream.read())
        await asyncio.wait({reading}, timeout=SILENCE)
        if not reading.done():
            raise SilenceError
        # grpc.aio cancels the reader when `close` is called elsewhere.
        if reading.cancelled():
            return None
        message = reading.result()
        return message if isinstance(message, WatchResponse) else None


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

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _wait(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return await function(*arguments, **options)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

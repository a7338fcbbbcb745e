"""`AsyncClient`, whose calls and watches are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from . import _history
from ._base import CHANNEL_OPTIONS, ClientBase
from ._calls import Call, Pause, Steps, T
from ._resume import SILENCE, Resume
from ._times import Time
from .contract import WATCH, RequestT, ResponseT, Rpc, WatchResponse
from .events import Event, Tape

if TYPE_CHECKING:
    import pandas as pd


class AsyncClient(ClientBase):
    """`Client` for asyncio. It belongs to the event loop that uses it first."""

    def watch(
        self,
        symbols: str | Iterable[str],
        *,
        quotes: bool = False,
        every_tick: bool = True,
        after_sequence: Mapping[str, int] | None = None,
        tape_id: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """See `Client.watch`."""
        return self._events(
            self._live(symbols, quotes, every_tick, after_sequence, tape_id, timeout)
        )

    def replay(
        self,
        symbols: str | Iterable[str],
        start: Time,
        end: Time | None = None,
        *,
        speed: float = 0.0,
        quotes: bool = False,
    ) -> AsyncGenerator[Event, None]:
        """See `Client.replay`."""
        return self._events(self._past(symbols, start, end, speed, quotes))

    async def ticks(
        self,
        symbol: str,
        *,
        start: Time | None = None,
        end: Time | None = None,
        start_sequence: int | None = None,
        end_sequence: int | None = None,
    ) -> pd.DataFrame:
        """See `Client.ticks`."""
        return await self._run(
            _history.ticks(self._caller, symbol, start, end, start_sequence, end_sequence)
        )

    async def candles(
        self, symbol: str, *, interval: str | timedelta, start: Time, end: Time | None = None
    ) -> pd.DataFrame:
        """See `Client.candles`."""
        return await self._run(_history.candles(self._caller, symbol, interval, start, end))

    async def last_prices(self, symbols: str | Iterable[str] | None = None) -> pd.DataFrame:
        """See `Client.last_prices`."""
        return await self._run(_history.last_prices(self._caller, symbols))

    async def instruments(self) -> pd.DataFrame:
        """See `Client.instruments`."""
        return await self._run(_history.instruments(self._caller))

    async def tape(self) -> Tape:
        """See `Client.tape`."""
        return await self._run(_history.tape(self._caller))

    async def call(self, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """See `Client.call`."""
        return await self._run(self._caller.call(rpc, request))

    async def close(self) -> None:
        """Ends all calls and watches."""
        self._closed.set()
        for channel in [*self._channels, *self._watching]:
            await channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self) -> None:
        self._watching: set[grpc.aio.Channel] = set()

    @cached_property
    def _channels(self) -> list[grpc.aio.Channel]:
        # The first call makes them, because they belong to the event loop that is running then.
        return [self._connect(endpoint) for endpoint in range(len(self.endpoints))]

    def _connect(self, endpoint: int) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._targets[endpoint], CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(self._targets[endpoint], self._credentials, CHANNEL_OPTIONS)

    async def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._carry_out(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _carry_out(self, step: Call | Pause) -> object:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        method = self._channels[step.endpoint].unary_unary(
            step.rpc.path, step.rpc.request.SerializeToString, step.rpc.response.FromString
        )
        # Another endpoint may be ready.
        return await method(
            step.request, timeout=self._timeout, metadata=self._metadata(), wait_for_ready=False
        )

    async def _events(self, resume: Resume) -> AsyncGenerator[Event, None]:
        while not resume.over:
            endpoint, pause = resume.begin()
            await asyncio.sleep(pause)
            if self._closed.is_set():
                return
            # Not the channel of the calls: its backoff would delay the return to this endpoint.
            channel = self._connect(endpoint)
            self._watching.add(channel)
            error, is_silent = None, False
            try:
                method = channel.unary_stream(
                    WATCH.path, WATCH.request.SerializeToString, WATCH.response.FromString
                )
                stream = method(
                    resume.request(),
                    timeout=resume.remaining(),
                    metadata=resume.metadata(),
                    wait_for_ready=False,
                )
                while resume.leaving is None:
                    # Not `wait_for`, which forgets some cancellations before Python 3.12.
                    reading = asyncio.ensure_future(stream.read())
                    await asyncio.wait({reading}, timeout=SILENCE)
                    if is_silent := not reading.done():
                        break
                    # grpc.aio cancels the reader when `close` is called elsewhere.
                    if reading.cancelled() and self._closed.is_set():
                        return
                    message = reading.result()
                    if not isinstance(message, WatchResponse):
                        break  # It is EOF.
                    for event in resume.receive(message):
                        yield event
            except grpc.RpcError as broken:
                error = broken
            finally:
                self._watching.discard(channel)
                await channel.close()
            if self._closed.is_set():
                return
            if end := resume.end(error, silent=is_silent):
                yield end

"""`Client`, whose calls and watches block."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc

from . import _history
from ._base import CHANNEL_OPTIONS, ClientBase
from ._calls import Call, Pause, Steps, T
from ._resume import SILENCE, Resume
from ._times import Time
from .contract import WATCH, RequestT, ResponseT, Rpc, WatchResponse
from .events import Event, Tape

if TYPE_CHECKING:
    import pandas as pd


class Client(ClientBase):
    """Live ticks, history and instruments from whichever endpoint answers.

    Several threads may use one client.
    """

    def watch(
        self,
        symbols: str | Iterable[str],
        *,
        quotes: bool = False,
        every_tick: bool = True,
        after_sequence: Mapping[str, int] | None = None,
        tape_id: str = "",
        timeout: float | None = None,
    ) -> Generator[Event, None, None]:
        """Yields the last price of each symbol, then live ticks, without a loss across endpoints.

        Args:
            symbols: Symbols; `*` stands for all of them.
            quotes: Whether each tick has a `quote`: bid, ask and the figures of the day.
            every_tick: Whether a reader that falls behind gets every tick all the same. If not,
                it gets the newest tick of each symbol, and `conflated` counts the others.
            after_sequence: Symbol to last sequence seen: its ticks begin after this one.
            tape_id: The tape that `after_sequence` belongs to.
            timeout: When to end, in seconds. By default the watch goes on until `close`.

        Raises:
            CallError: The endpoint refused the watch, and another attempt cannot succeed.
            ForeignTapeError: Every endpoint plays another tape by now.
        """
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
    ) -> Generator[Event, None, None]:
        """Yields the ticks of the past in the order of their times, across all symbols.

        Args:
            symbols: Symbols; `*` stands for all of them.
            start: The first time, inclusive.
            end: The last time, exclusive. By default live ticks follow those of the past.
            speed: 1 is as it took place, 10 is ten times as fast, 0 is as fast as possible.
            quotes: As in `watch`.

        Raises:
            CallError, ForeignTapeError: As in `watch`.
        """
        return self._events(self._past(symbols, start, end, speed, quotes))

    def ticks(
        self,
        symbol: str,
        *,
        start: Time | None = None,
        end: Time | None = None,
        start_sequence: int | None = None,
        end_sequence: int | None = None,
    ) -> pd.DataFrame:
        """The ticks of a symbol, by time or by sequence, without the end.

        Returns:
            The index `time` is in UTC. The columns are `sequence`, `ltp`, the exact `ltp_nanos` in
            units of 1e-9, and `quantity` in units of the instrument's quantity increment.
        """
        return self._run(
            _history.ticks(self._caller, symbol, start, end, start_sequence, end_sequence)
        )

    def candles(
        self, symbol: str, *, interval: str | timedelta, start: Time, end: Time | None = None
    ) -> pd.DataFrame:
        """The candles of a symbol, from the one that holds `start` until now or `end`.

        Args:
            symbol: The symbol.
            interval: `30s`, `5m`, `1h`, `1d` or a timedelta; it divides a day.
            start: A time in the first candle.
            end: The last candle begins before this time.

        Returns:
            The index `open_time` is in UTC. The columns are `open`, `high`, `low`, `close`,
            `volume`, `tick_count`, and `complete`, which is False for a candle that is not over.
        """
        return self._run(_history.candles(self._caller, symbol, interval, start, end))

    def last_prices(self, symbols: str | Iterable[str] | None = None) -> pd.DataFrame:
        """The newest tick of each symbol, or of all instruments.

        A symbol that is refused is missing in the answer, and a warning says why.

        Returns:
            The index is `symbol`. The columns are `time` in UTC and those of `ticks`.
        """
        return self._run(_history.last_prices(self._caller, symbols))

    def instruments(self) -> pd.DataFrame:
        """All instruments. The index is `symbol`."""
        return self._run(_history.instruments(self._caller))

    def tape(self) -> Tape:
        """The identity of the tape, and its time."""
        return self._run(_history.tape(self._caller))

    def call(self, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Makes a unary call of `ticker_client.contract`, which needs no pandas.

        Raises:
            CallError: The endpoint refused the call, or no endpoint answered in time.
        """
        return self._run(self._caller.call(rpc, request))

    def close(self) -> None:
        """Ends all calls and watches, also those of other threads."""
        self._closed.set()
        for stream in [*self._streams]:
            stream.close()
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        self._channels = [self._connect(endpoint) for endpoint in range(len(self.endpoints))]
        self._streams: set[_Stream] = set()

    def _connect(self, endpoint: int) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self._targets[endpoint], CHANNEL_OPTIONS)
        return grpc.secure_channel(self._targets[endpoint], self._credentials, CHANNEL_OPTIONS)

    def _run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._carry_out(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def _carry_out(self, step: Call | Pause) -> object:
        if isinstance(step, Pause):
            return self._closed.wait(step.seconds)
        method = self._channels[step.endpoint].unary_unary(
            step.rpc.path, step.rpc.request.SerializeToString, step.rpc.response.FromString
        )
        # Another endpoint may be ready.
        return method(
            step.request, timeout=self._timeout, metadata=self._metadata(), wait_for_ready=False
        )

    def _events(self, resume: Resume) -> Generator[Event, None, None]:
        while not resume.over:
            endpoint, pause = resume.begin()
            if self._closed.wait(pause):
                return
            # Not the channel of the calls: its backoff would delay the return to this endpoint.
            stream = _Stream(self._connect(endpoint))
            self._streams.add(stream)
            error = None
            try:
                stream.open(resume)
                for message in stream:
                    yield from resume.receive(message)
                    if resume.leaving:
                        break
            except grpc.RpcError as broken:
                error = broken
            except ValueError:
                # grpc raises it when `close` in another thread was faster.
                if not self._closed.is_set():
                    raise
            finally:
                self._streams.discard(stream)
                stream.close()
            if self._closed.is_set():
                return
            if event := resume.end(error, silent=stream.is_silent):
                yield event


class _Stream:
    """A stream on a channel of its own, cancelled when the reader waits too long for a message."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._call: Any = None
        self._waits_since: float | None = None
        self._ended = threading.Event()
        self.is_silent = False

    def open(self, resume: Resume) -> None:
        method = self._channel.unary_stream(
            WATCH.path, WATCH.request.SerializeToString, WATCH.response.FromString
        )
        self._call = method(
            resume.request(),
            timeout=resume.remaining(),
            metadata=resume.metadata(),
            wait_for_ready=False,
        )
        threading.Thread(target=self._watch, name="ticker-client silence", daemon=True).start()

    def __iter__(self) -> Iterator[WatchResponse]:
        while True:
            self._waits_since = time.monotonic()
            try:
                message = next(self._call)
            except StopIteration:
                return
            # A reader that is busy for long is not a stream that is silent.
            self._waits_since = None
            yield message

    def close(self) -> None:
        self._ended.set()
        self._channel.close()

    def _watch(self) -> None:
        pause = SILENCE
        while not self._ended.wait(pause):
            since = self._waits_since
            waited = 0.0 if since is None else time.monotonic() - since
            if waited >= SILENCE:
                self.is_silent = True
                self._call.cancel()
                return
            pause = SILENCE - waited

"""What a watch remembers to go on at another endpoint without a loss. Without I/O."""

import random
import time
from collections.abc import Callable, Iterator, Sequence

import grpc

from ._proto.ticker.v1 import ticker_pb2 as pb
from ._times import time_ns
from .errors import CallError, ForeignTapeError
from .events import CaughtUp, Connected, Disconnected, Event, Gap, Quote, Refused, Tick

# A stream without a message for this long, in seconds, is broken: heartbeats come every 5 s.
SILENCE = 15.0
# A stream that lives for this long, in seconds, ends an outage. If any stream did, a server that
# accepts streams and ends them at once would be asked without a pause.
STABLE = 1.0

RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class SilenceError(grpc.RpcError):
    """No message came for `SILENCE` seconds."""


def backoff() -> Iterator[float]:
    """Pauses in seconds, with full jitter: from zero up to 50 ms, 100 ms, … 1 s."""
    longest = 0.05
    while True:
        yield random.uniform(0, longest)
        longest = min(2 * longest, 1.0)


class Resume:
    """The state of a watch, over all its streams.

    For each stream, `begin` says where to open it and how long to wait before, `request` and
    `remaining` with what. `receive` turns its messages into events, and `end` takes note of its
    end. A stream is to be cancelled when `leaving` is set. Nothing more comes when `over` is set.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        request: pb.WatchRequest,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._request = request
        self._clock = clock
        self._deadline = None if timeout is None else clock() + timeout
        self._last = dict(request.after_sequence)
        self._refused: set[str] = set()
        # Endpoints whose last answer was that they play another tape.
        self._foreign: set[int] = set()
        self._endpoint = -1
        self._begun = clock()
        # Attempts since a stream was stable, which `backoff` paces when every endpoint was tried.
        self._attempts = 0
        self._backoff = backoff()
        self.leaving: str | None = None
        self.over = False

    def begin(self) -> tuple[int, float]:
        """The endpoint of the next attempt, and the pause before it in seconds."""
        self._endpoint = (self._endpoint + 1) % len(self._endpoints)
        self.leaving = None
        self._attempts += 1
        pause = next(self._backoff) if self._attempts > len(self._endpoints) else 0.0
        if (remaining := self.remaining()) is not None:
            pause = min(pause, remaining)
        self._begun = self._clock() + pause
        return self._endpoint, pause

    def request(self) -> pb.WatchRequest:
        """Asks for what comes after the last tick of each symbol."""
        self._request.after_sequence.update(self._last)
        return self._request

    def remaining(self) -> float | None:
        """Time until the end of the watch in seconds, if it has one."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def receive(self, message: pb.WatchResponse) -> Sequence[Event]:
        """The events of a message.

        Raises:
            ForeignTapeError: Every endpoint plays another tape.
        """
        event = message.WhichOneof("event")
        if event == "subscription_result":
            return self._on_result(message.subscription_result)
        if self._attempts and self._clock() - self._begun >= STABLE:
            self._attempts = 0
            self._backoff = backoff()
        match event:
            case "tick":
                return self._on_tick(message.tick)
            case "gap":
                gap = message.gap
                self._last[gap.symbol] = gap.last_sequence
                return (Gap(gap.symbol, gap.first_sequence, gap.last_sequence),)
            case "caught_up":
                return (CaughtUp(message.caught_up.symbol, message.caught_up.sequence),)
            case "draining":
                self.leaving = "it is draining"
        return ()

    def end(self, error: grpc.RpcError | None = None) -> Disconnected | None:
        """Takes note that the stream has ended, with OK if there is no error.

        Raises:
            CallError: Another attempt cannot succeed.
        """
        endpoint = self._endpoints[self._endpoint]
        if self.leaving is not None:
            return Disconnected(endpoint, self.leaving)
        self._foreign.discard(self._endpoint)
        if isinstance(error, SilenceError):
            return Disconnected(endpoint, f"no message for {SILENCE:g} s")
        if error is None:
            if self._request.HasField("end_time"):
                self.over = True
                return None
            return Disconnected(endpoint, "the server ended the stream")
        code, details = error.code(), error.details() or ""
        if self._deadline is not None and self._deadline - self._clock() < 0.1:
            self.over = True
            return None
        # The token has expired. The next stream has the one that there is by now.
        is_expired = code is grpc.StatusCode.UNAUTHENTICATED and self._attempts == 0
        if code not in RETRYABLE and not is_expired:
            raise CallError(endpoint, code, details) from error
        return Disconnected(endpoint, f"{code.name}: {details}")

    def _on_result(self, result: pb.SubscriptionResult) -> Sequence[Event]:
        if any(status.code == pb.SYMBOL_STATUS_CODE_FOREIGN_TAPE for status in result.statuses):
            self._foreign.add(self._endpoint)
            if len(self._foreign) == len(self._endpoints):
                raise ForeignTapeError(self._request.tape_id)
            self.leaving = f"it plays another tape, {result.tape_id}"
            return ()
        self._foreign.discard(self._endpoint)
        self._request.tape_id = result.tape_id
        events: list[Event] = []
        for status in result.statuses:
            if status.code == pb.SYMBOL_STATUS_CODE_SUBSCRIBED:
                if not events or not isinstance(events[0], Connected):
                    events.insert(0, Connected(self._endpoints[self._endpoint], result.tape_id))
            elif status.symbol not in self._refused:
                self._refused.add(status.symbol)
                reason = status.message or pb.SymbolStatusCode.Name(status.code)
                events.append(Refused(status.symbol, reason))
        return events

    def _on_tick(self, tick: pb.Tick) -> Sequence[Event]:
        last = self._last.get(tick.symbol)
        if last is not None:
            if tick.sequence <= last:
                return ()
            if tick.sequence - tick.conflated != last + 1:
                self.leaving = f"{tick.symbol}: tick {tick.sequence} follows {last} without a gap"
                return ()
        self._last[tick.symbol] = tick.sequence
        return (
            Tick(
                tick.symbol,
                tick.sequence,
                tick.ltp,
                tick.ltp_nanos,
                time_ns(tick.time),
                tick.last_quantity,
                tick.conflated,
                tick.snapshot,
                _quote(tick.quote) if tick.HasField("quote") else None,
            ),
        )


def _quote(quote: pb.Quote) -> Quote:
    return Quote(
        quote.bid_nanos,
        quote.bid_quantity,
        quote.ask_nanos,
        quote.ask_quantity,
        quote.open_nanos,
        quote.high_nanos,
        quote.low_nanos,
        quote.volume,
        quote.previous_close_nanos,
        quote.change_percent if quote.HasField("change_percent") else None,
    )

"""What a watch remembers to go on at another endpoint without a loss. Without I/O."""

import time
from collections.abc import Callable, Sequence

import grpc

from ._attempts import Attempts, SilenceError
from ._proto.ticker.v1 import ticker_pb2 as pb
from ._times import time_ns
from .errors import ForeignTapeError
from .events import CaughtUp, Connected, Disconnected, Event, Gap, Quote, Refused, Tick


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
        self._attempts = Attempts(endpoints, clock)
        self.leaving: str | None = None
        self.over = False

    def begin(self) -> tuple[int, float]:
        """The endpoint of the next attempt, and the pause before it in seconds."""
        self.leaving = None
        return self._attempts.begin(self.remaining())

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
        self._attempts.alive()
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
        if self.leaving is not None:
            return Disconnected(self._attempts.name, self.leaving)
        self._foreign.discard(self._attempts.endpoint)
        if error is None and self._request.HasField("end_time"):
            self.over = True
            return None
        is_late = self._deadline is not None and self._deadline - self._clock() < 0.1
        if error is not None and not isinstance(error, SilenceError) and is_late:
            self.over = True
            return None
        return self._attempts.end(error)

    def _on_result(self, result: pb.SubscriptionResult) -> Sequence[Event]:
        if any(status.code == pb.SYMBOL_STATUS_CODE_FOREIGN_TAPE for status in result.statuses):
            self._foreign.add(self._attempts.endpoint)
            if len(self._foreign) == len(self._endpoints):
                raise ForeignTapeError(self._request.tape_id)
            self.leaving = f"it plays another tape, {result.tape_id}"
            return ()
        self._foreign.discard(self._attempts.endpoint)
        self._request.tape_id = result.tape_id
        events: list[Event] = []
        for status in result.statuses:
            if status.code == pb.SYMBOL_STATUS_CODE_SUBSCRIBED:
                if not events or not isinstance(events[0], Connected):
                    events.insert(0, Connected(self._attempts.name, result.tape_id))
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

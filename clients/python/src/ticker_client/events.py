"""What a watch yields, and the tape."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from ._times import utc


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask, and the figures of the day, after a trade.

    Prices end in `_nanos`: they are exact, in units of 1e-9 of the instrument's currency.
    """

    bid_nanos: int
    bid_quantity: int
    ask_nanos: int
    ask_quantity: int
    open_nanos: int
    high_nanos: int
    low_nanos: int
    volume: int
    previous_close_nanos: int
    change_percent: float | None

    @property
    def bid(self) -> float | None:
        """The best bid; None if the tape has none, as a recorded one."""
        return self.bid_nanos / 1e9 if self.bid_nanos else None

    @property
    def ask(self) -> float | None:
        """The best ask; None if the tape has none, as a recorded one."""
        return self.ask_nanos / 1e9 if self.ask_nanos else None


@dataclass(frozen=True, slots=True)
class Tick:
    """A trade. The sequences of a symbol rise, and none comes twice.

    Attributes:
        ltp: Last traded price.
        ltp_nanos: The same, exact, in units of 1e-9 of the instrument's currency.
        time_ns: When the trade took place, in nanoseconds since the Unix epoch.
        quantity: How much was traded, in units of the instrument's quantity increment; 0 for an
            index.
        conflated: How many ticks of the symbol were left out before this one, as `every_tick=False`
            allows.
        snapshot: Whether this is the last price from before the watch.
        quote: Only with `quotes=True`.
    """

    symbol: str
    sequence: int
    ltp: float
    ltp_nanos: int
    time_ns: int
    quantity: int
    conflated: int = 0
    snapshot: bool = False
    quote: Quote | None = None

    @property
    def ltp_decimal(self) -> Decimal:
        """The exact last traded price."""
        return Decimal(self.ltp_nanos).scaleb(-9)

    @property
    def time(self) -> datetime:
        """When the trade took place, in UTC, without what is less than a microsecond."""
        return utc(self.time_ns)


@dataclass(frozen=True, slots=True)
class Gap:
    """Ticks were left out: the reader was too far behind, or the tape begins later."""

    symbol: str
    first_sequence: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A symbol has reached the present after a resume or a replay: what follows is live."""

    symbol: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Connected:
    """An endpoint has accepted the watch, or takes ticks of the publisher.

    Attributes:
        tape_id: The tape of the watch; empty for a publisher.
    """

    endpoint: str
    tape_id: str = ""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream has ended, or an attempt to open one has failed. The next attempt begins."""

    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server refuses a symbol; the others go on. It comes once for each symbol."""

    symbol: str
    message: str


Event: TypeAlias = Tick | Gap | CaughtUp | Connected | Disconnected | Refused


@dataclass(frozen=True, slots=True)
class Tape:
    """The identity of a tape, and its time. Endpoints with the same `tape_id` send the same ticks.

    Attributes:
        time_ns: Time on the tape, in nanoseconds since the Unix epoch. A recorded tape plays at
            another time than it was recorded.
        kind: `simulated`, `recorded` or `feed`.
        speed: How fast the time on the tape passes: 1 is as fast as real time.
        seed: Zero unless the tape is simulated, and for callers that may not know it.
    """

    tape_id: str
    time_ns: int
    kind: str
    speed: float
    seed: int
    engine_version: str

    @property
    def time(self) -> datetime:
        """Time on the tape, in UTC, without what is less than a microsecond."""
        return utc(self.time_ns)

"""What a publisher sends, and what it is told."""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from ._proto.ticker.v1 import ticker_pb2 as pb
from ._times import Time, timestamp
from .events import Connected, Disconnected

# An exact price: text such as `101.55`, a Decimal, or a whole number. A float is not exact.
Price: TypeAlias = Decimal | str | int

NANOS = 10**9
HIGHEST_NANOS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NewTick:
    """A trade to publish.

    Attributes:
        price: In the instrument's currency, with at most 9 decimals; it is a positive multiple of
            the instrument's price increment.
        quantity: How much was traded, in units of the instrument's quantity increment; 0 for an
            index.
        time: When the trade took place. By default it is when the server takes the tick. At most a
            minute before and a second after the time of the server.
        bid: The best bid after the trade, which is below the ask. Bid and ask are set together.
        bid_quantity: In units of the instrument's quantity increment.
        ask: The best ask after the trade.
        ask_quantity: In units of the instrument's quantity increment.

    Raises:
        TypeError: A price is a float.
        ValueError: A price is no number, has more than 9 decimals or is too large; or a quantity
            is negative or too large; or the time has no zone.
    """

    symbol: str
    price: Price
    quantity: int = 0
    time: Time | None = None
    bid: Price | None = None
    bid_quantity: int = 0
    ask: Price | None = None
    ask_quantity: int = 0
    message: pb.PublishedTick = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        message = pb.PublishedTick(
            symbol=self.symbol,
            time=timestamp(self.time),
            price_nanos=nanos(self.price),
            quantity=self.quantity,
            bid_nanos=0 if self.bid is None else nanos(self.bid),
            bid_quantity=self.bid_quantity,
            ask_nanos=0 if self.ask is None else nanos(self.ask),
            ask_quantity=self.ask_quantity,
        )
        object.__setattr__(self, "message", message)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A tick that the server rejected.

    Attributes:
        index: Its place among the ticks of the call, counted from zero.
        number: Its number.
        code: Why, for programs, such as `INVALID_PRICE`.
        message: Why, for people, and what to do.
    """

    index: int
    number: int
    symbol: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the ticks of a call of `publish` or `send`.

    Attributes:
        first_number: The number of the first tick; the others count on from it.
        ticks: Number of ticks: the accepted, the duplicates and the rejected ones.
        accepted: Number of ticks that were accepted and are stored.
        duplicates: Number of ticks that were stored before under the same numbers.
        rejected: The ticks that were rejected.
    """

    first_number: int
    ticks: int
    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...]


PublisherEvent: TypeAlias = Connected | Disconnected | Receipt


def nanos(price: Price) -> int:
    """The exact price, in units of 1e-9."""
    if isinstance(price, float):
        raise TypeError(f"price {price!r} is a float, which is not exact: pass text or a Decimal")
    try:
        value = Decimal(price)
    except InvalidOperation:
        raise ValueError(f"price {price!r} is no number") from None
    # Before the multiplication, which would be long for 1e999999.
    if not value.is_finite() or abs(value) > HIGHEST_NANOS // NANOS or value.adjusted() < -18:
        if value.is_zero():
            return 0
        raise ValueError(f"price {price!r} is not between 1e-9 and {HIGHEST_NANOS // NANOS}")
    numerator, denominator = value.as_integer_ratio()
    whole, rest = divmod(numerator * NANOS, denominator)
    if rest:
        raise ValueError(f"price {price!r} has more than 9 decimals")
    return whole

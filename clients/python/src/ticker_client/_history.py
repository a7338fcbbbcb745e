"""Questions about the past and the instruments, and their answers as DataFrames. Without I/O."""

from __future__ import annotations

import importlib.util
import warnings
from array import array
from collections.abc import Callable, Iterable
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from . import contract
from ._calls import Caller, Steps
from ._proto.ticker.v1 import ticker_pb2 as pb
from ._times import Time, duration, time_ns, timestamp
from .contract import Rpc
from .events import Tape

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# The largest page of ticks and candles that the server makes.
PAGE = 10_000
# Frames between a `warn` in `take` and the code that called the client.
CALLER = 6


def tape(caller: Caller) -> Steps[Tape]:
    """The identity of the tape, and its time."""
    answer = yield from caller.call(contract.GET_TAPE, contract.GetTapeRequest())
    return Tape(
        tape_id=answer.tape_id,
        time_ns=time_ns(answer.time),
        kind=pb.TapeKind.Name(answer.kind).removeprefix("TAPE_KIND_").lower(),
        speed=answer.speed,
        seed=answer.seed,
        engine_version=answer.engine_version,
    )


def instruments(caller: Caller) -> Steps[pd.DataFrame]:
    """All instruments."""
    _require_pandas()
    import pandas as pd

    rows: list[pb.Instrument] = []
    yield from _pages(
        caller,
        contract.LIST_INSTRUMENTS,
        contract.ListInstrumentsRequest(),
        lambda page: rows.extend(page.instruments),
    )
    columns = {
        "name": [row.name for row in rows],
        "kind": [row.kind for row in rows],
        "currency": [row.currency for row in rows],
        "reference_price": [row.reference_price_nanos / 1e9 for row in rows],
        "price_increment": [row.price_increment_nanos / 1e9 for row in rows],
        "quantity_increment": [row.quantity_increment_nanos / 1e9 for row in rows],
        "annual_volatility": [row.annual_volatility for row in rows],
        "tick_interval": pd.to_timedelta(
            [row.tick_interval.ToNanoseconds() or None for row in rows], unit="ns"
        ),
        "day_start": pd.to_timedelta([row.day_start.ToNanoseconds() for row in rows], unit="ns"),
    }
    return pd.DataFrame(columns, index=pd.Index([row.symbol for row in rows], name="symbol"))


def last_prices(caller: Caller, symbols: str | Iterable[str] | None) -> Steps[pd.DataFrame]:
    """The newest tick of each symbol."""
    _require_pandas()
    import pandas as pd

    columns = _TickColumns()
    names: list[str] = []

    def take(page: pb.GetLastPricesResponse) -> None:
        columns.extend(page.ticks)
        names.extend(tick.symbol for tick in page.ticks)
        for status in page.statuses:
            warnings.warn(status.message, stacklevel=CALLER)

    request = contract.GetLastPricesRequest(symbols=None if symbols is None else listed(symbols))
    yield from _pages(caller, contract.GET_LAST_PRICES, request, take)
    frame = pd.DataFrame(columns.by_name(), index=pd.Index(names, name="symbol"))
    frame.insert(0, "time", _utc_index(columns.time, "time"))
    return frame


def ticks(
    caller: Caller,
    symbol: str,
    start: Time | None,
    end: Time | None,
    start_sequence: int | None,
    end_sequence: int | None,
) -> Steps[pd.DataFrame]:
    """The ticks of a symbol, the oldest first."""
    _require_pandas()
    import pandas as pd

    if start is None and start_sequence is None:
        raise ValueError("no start: a tape begins in 1970, so set start or start_sequence")
    columns = _TickColumns()
    request = contract.ListTicksRequest(
        symbol=symbol,
        start_time=None if start is None else timestamp(start),
        end_time=None if end is None else timestamp(end),
        start_sequence=start_sequence,
        end_sequence=end_sequence,
        page_size=PAGE,
    )
    yield from _pages(caller, contract.LIST_TICKS, request, lambda page: columns.extend(page.ticks))
    return pd.DataFrame(columns.by_name(), index=_utc_index(columns.time, "time"), copy=False)


def candles(
    caller: Caller, symbol: str, interval: str | timedelta, start: Time, end: Time | None
) -> Steps[pd.DataFrame]:
    """The candles of a symbol, the oldest first."""
    _require_pandas()
    import pandas as pd

    open_time = array("q")
    prices = {name: array("d") for name in ("open", "high", "low", "close")}
    volume, tick_count = array("q"), array("q")
    complete: list[bool] = []

    def take(page: pb.ListCandlesResponse) -> None:
        open_time.extend([time_ns(candle.open_time) for candle in page.candles])
        for name, column in prices.items():
            column.extend(map(attrgetter(f"{name}_price"), page.candles))
        volume.extend([candle.volume for candle in page.candles])
        tick_count.extend([candle.tick_count for candle in page.candles])
        complete.extend([not candle.open for candle in page.candles])

    request = contract.ListCandlesRequest(
        symbol=symbol,
        interval=duration(interval),
        start_time=timestamp(start),
        end_time=None if end is None else timestamp(end),
        page_size=PAGE,
    )
    yield from _pages(caller, contract.LIST_CANDLES, request, take)
    columns = {**prices, "volume": volume, "tick_count": tick_count, "complete": complete}
    return pd.DataFrame(columns, index=_utc_index(open_time, "open_time"))


def listed(symbols: str | Iterable[str]) -> list[str]:
    """The symbols, of which one may be given alone."""
    return [symbols] if isinstance(symbols, str) else list(symbols)


class _TickColumns:
    """Ticks as columns of numbers, so that no Python object of a tick outlives its page."""

    def __init__(self) -> None:
        self.time, self.sequence, self.ltp_nanos, self.quantity = (array("q") for _ in range(4))
        self.ltp = array("d")

    def extend(self, ticks: Iterable[pb.Tick]) -> None:
        # One loop is faster than a comprehension for each column.
        for tick in ticks:
            self.time.append(time_ns(tick.time))
            self.sequence.append(tick.sequence)
            self.ltp.append(tick.ltp)
            self.ltp_nanos.append(tick.ltp_nanos)
            self.quantity.append(tick.last_quantity)

    def by_name(self) -> dict[str, Any]:
        """All columns but the time."""
        names = ("sequence", "ltp", "ltp_nanos", "quantity")
        return {name: _numpy(getattr(self, name)) for name in names}


def _pages(
    caller: Caller, rpc: Rpc[Any, Any], request: Any, take: Callable[[Any], None]
) -> Steps[None]:
    """Hands over page after page."""
    while True:
        page = yield from caller.call(rpc, request)
        take(page)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _require_pandas() -> None:
    if importlib.util.find_spec("pandas") is None:
        raise ImportError("DataFrames need pandas: pip install 'ticker-client[pandas]'")


def _utc_index(times_ns: array[int], name: str) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(_numpy(times_ns).view("M8[ns]"), tz="UTC", name=name)


def _numpy(column: array[Any]) -> np.ndarray[Any, Any]:
    """The column without a copy."""
    import numpy as np

    return np.asarray(column)

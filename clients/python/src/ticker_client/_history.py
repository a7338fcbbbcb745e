"""Methods of both clients: the past and the instruments, as DataFrames."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from . import contract
from ._base import ClientBase
from ._calls import call, listed, pages
from ._proto.ticker.v1 import ticker_pb2 as pb
from ._times import Time, duration, time_ns, timestamp
from .contract import Rpc
from .events import Tape

if TYPE_CHECKING:
    import pandas as pd

# The largest page of ticks and candles that the server makes.
PAGE = 10_000
# Frames between the `warn` of a symbol that is refused and the code that called `Client`.
CALLER = 5

# Columns of a DataFrame: the name, the type in NumPy, and the value of a message. The first column
# is the index.
Columns: TypeAlias = dict[str, tuple[str, Callable[[Any], Any]]]
TICK: Columns = {
    "time": ("M8[ns]", lambda tick: time_ns(tick.time)),
    "sequence": ("i8", attrgetter("sequence")),
    "ltp": ("f8", attrgetter("ltp")),
    "ltp_nanos": ("i8", attrgetter("ltp_nanos")),
    "quantity": ("i8", attrgetter("last_quantity")),
}
CANDLE: Columns = {
    "open_time": ("M8[ns]", lambda candle: time_ns(candle.open_time)),
    "open": ("f8", attrgetter("open_price")),
    "high": ("f8", attrgetter("high_price")),
    "low": ("f8", attrgetter("low_price")),
    "close": ("f8", attrgetter("close_price")),
    "volume": ("i8", attrgetter("volume")),
    "tick_count": ("i8", attrgetter("tick_count")),
    "complete": ("?", lambda candle: not candle.open),
}
INSTRUMENT: Columns = {
    "symbol": ("O", attrgetter("symbol")),
    "name": ("O", attrgetter("name")),
    "kind": ("O", attrgetter("kind")),
    "currency": ("O", attrgetter("currency")),
    "reference_price": ("f8", lambda row: row.reference_price_nanos / 1e9),
    "price_increment": ("f8", lambda row: row.price_increment_nanos / 1e9),
    "quantity_increment": ("f8", lambda row: row.quantity_increment_nanos / 1e9),
    "annual_volatility": ("f8", attrgetter("annual_volatility")),
    "tick_interval": ("m8[ns]", lambda row: row.tick_interval.ToNanoseconds() or None),
    "day_start": ("m8[ns]", lambda row: row.day_start.ToNanoseconds()),
}


async def tape(client: ClientBase) -> Tape:
    """The identity of the tape, and its time."""
    answer = await call(client, contract.GET_TAPE, contract.GetTapeRequest())
    return Tape(
        tape_id=answer.tape_id,
        time_ns=time_ns(answer.time),
        kind=pb.TapeKind.Name(answer.kind).removeprefix("TAPE_KIND_").lower(),
        speed=answer.speed,
        seed=answer.seed,
        engine_version=answer.engine_version,
    )


async def instruments(client: ClientBase) -> pd.DataFrame:
    """All instruments. The index is `symbol`."""
    request = contract.ListInstrumentsRequest()
    return await _frame(client, contract.LIST_INSTRUMENTS, request, "instruments", INSTRUMENT)


async def last_prices(
    client: ClientBase, symbols: str | Iterable[str] | None = None
) -> pd.DataFrame:
    """The newest tick of each symbol, or of all instruments.

    A symbol that is refused is missing in the answer, and a warning says why.

    Returns:
        The index is `symbol`. The columns are `time` in UTC and those of `ticks`.
    """
    request = contract.GetLastPricesRequest(symbols=None if symbols is None else listed(symbols))
    columns = {"symbol": INSTRUMENT["symbol"], **TICK}
    return await _frame(client, contract.GET_LAST_PRICES, request, "ticks", columns)


async def ticks(
    client: ClientBase,
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
    if start is None and start_sequence is None:
        raise ValueError("no start: a tape begins in 1970, so set start or start_sequence")
    request = contract.ListTicksRequest(
        symbol=symbol,
        start_time=timestamp(start),
        end_time=timestamp(end),
        start_sequence=start_sequence,
        end_sequence=end_sequence,
        page_size=PAGE,
    )
    return await _frame(client, contract.LIST_TICKS, request, "ticks", TICK)


async def candles(
    client: ClientBase,
    symbol: str,
    *,
    interval: str | timedelta,
    start: Time,
    end: Time | None = None,
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
    request = contract.ListCandlesRequest(
        symbol=symbol,
        interval=duration(interval),
        start_time=timestamp(start),
        end_time=timestamp(end),
        page_size=PAGE,
    )
    return await _frame(client, contract.LIST_CANDLES, request, "candles", CANDLE)


async def _frame(
    client: ClientBase, rpc: Rpc[Any, Any], request: Any, field: str, columns: Columns
) -> pd.DataFrame:
    """The messages in a field of all pages."""
    try:
        import numpy as np
        import pandas as pd
    except ImportError as error:
        raise ImportError("DataFrames need pandas: pip install 'ticker-client[pandas]'") from error
    # Arrays, so that no message outlives its page.
    parts: dict[str, list[Any]] = {name: [] for name in columns}
    async for page in pages(client, rpc, request):
        rows = list(getattr(page, field))
        for name, (kind, value) in columns.items():
            parts[name].append(np.array([value(row) for row in rows], kind))
        # Only last prices have them.
        for status in getattr(page, "statuses", ()):
            warnings.warn(status.message, stacklevel=CALLER)
    frame = pd.DataFrame({name: np.concatenate(arrays) for name, arrays in parts.items()})
    for time in frame.select_dtypes("datetime"):
        frame[time] = frame[time].dt.tz_localize("UTC")
    return frame.set_index(frame.columns[0])

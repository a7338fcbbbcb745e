"""Publishes the trades of Binance to a ticker with a feed.

It needs Python 3.11 or newer and the packages `ticker-client` and `websockets`.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import tomllib
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path

from ticker_client import AsyncClient, NewTick, Receipt, TickerError
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

EXCHANGE = "wss://stream.binance.com:9443/stream"
# Largest number of trades that wait while the ticker is away. Further ones are dropped and counted.
MOST_WAITING = 100_000


@dataclass(frozen=True)
class Trade:
    """A trade of the exchange. Its id is its number as a tick."""

    symbol: str
    id: int
    tick: NewTick


def instruments(file: Path) -> dict[str, tuple[str, Decimal]]:
    """Name at the exchange, such as BTCUSDT, to symbol and quantity increment."""
    rows = tomllib.loads(file.read_text(), parse_float=Decimal)["instrument"]
    return {row["symbol"].replace("-", ""): (row["symbol"], Decimal(row["quantity_increment"])) for row in rows}


def trade_of(message: str | bytes, names: dict[str, tuple[str, Decimal]]) -> Trade | None:
    """The trade of a message; None for a message of another type. Raises ValueError if it is malformed."""
    try:
        data = json.loads(message)["data"]
        if data["e"] != "trade":
            return None
        symbol, increment = names[data["s"]]
        quantity = Decimal(data["q"]) / increment
        if quantity != int(quantity):
            raise ValueError(f"quantity {data['q']} is no multiple of {increment}")
        # The time is in milliseconds, and that of a tick in nanoseconds.
        tick = NewTick(symbol, data["p"], int(quantity), time=int(data["T"]) * 1_000_000)
        return Trade(symbol, int(data["t"]), tick)
    except (KeyError, TypeError, ArithmeticError, InvalidOperation) as error:
        raise ValueError(repr(error)) from error


async def read(url: str, names: dict[str, tuple[str, Decimal]], trades: asyncio.Queue[Trade]) -> None:
    """Reads trades for ever, over all connections to the exchange."""
    streams = "/".join(f"{name.lower()}@trade" for name in names)
    last: dict[str, int] = {}
    longest = 0.5
    while True:
        try:
            async with connect(f"{url}?streams={streams}") as socket:
                say(f"connected to {url}")
                async for message in socket:
                    longest = 0.5
                    try:
                        trade = trade_of(message, names)
                    except ValueError as error:
                        say(f"skipped a message: {error}: {message!r}")
                        continue
                    if trade is None:
                        continue
                    missed = trade.id - last.get(trade.symbol, trade.id - 1) - 1
                    if missed > 0:
                        say(f"{trade.symbol}: {missed} trades before {trade.id} did not come")
                    last[trade.symbol] = max(trade.id, last.get(trade.symbol, 0))
                    try:
                        trades.put_nowait(trade)
                    except asyncio.QueueFull:
                        say(f"{trade.symbol}: dropped trade {trade.id}, because {MOST_WAITING} trades wait")
            reason = "it closed the connection"
        except (OSError, TimeoutError, WebSocketException) as error:
            reason = str(error) or type(error).__name__
        pause = random.uniform(0, longest)
        longest = min(2 * longest, 30.0)
        say(f"the exchange is away ({reason}), next attempt in {pause:.1f} s")
        await asyncio.sleep(pause)


async def bridge(options: argparse.Namespace) -> None:
    """Publishes what is read, until it is cancelled."""
    names = instruments(options.instruments)
    trades: asyncio.Queue[Trade] = asyncio.Queue(MOST_WAITING)
    async with AsyncClient(options.endpoints) as client:
        async with client.publisher(options.publisher_id, on_event=report) as publisher:
            reading = asyncio.create_task(read(options.exchange, names, trades))
            try:
                while True:
                    batch = [await trades.get()]
                    while not trades.empty() and len(batch) < 1000:
                        batch.append(trades.get_nowait())
                    # Stable, so the trades of a symbol keep their order.
                    batch.sort(key=lambda trade: trade.symbol)
                    # Numbers count on within a request, so a request has trades of one symbol with consecutive ids.
                    runs = groupby(enumerate(batch), key=lambda at: (at[1].symbol, at[1].id - at[0]))
                    for _, run in runs:
                        some = [trade for _, trade in run]
                        await publisher.send([trade.tick for trade in some], first_number=some[0].id)
            except asyncio.CancelledError:
                say("stopping when all trades are answered; Ctrl-C again stops at once")
            finally:
                reading.cancel()


def report(event: object) -> None:
    """Says what becomes of the trades, except that they are stored."""
    if not isinstance(event, Receipt):
        say(str(event))
        return
    for rejected in event.rejected:
        say(f"{rejected.symbol}: the ticker rejected trade {rejected.number}: {rejected.message}")


def say(text: str) -> None:
    """Prints a line on standard error."""
    print(text, file=sys.stderr, flush=True)


async def main() -> None:
    """Runs until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instruments", type=Path, required=True, metavar="FILE", help="the TOML file of the ticker")
    parser.add_argument("--endpoints", default="127.0.0.1:50051", metavar="HOST:PORT,…", help="of the ticker")
    parser.add_argument("--exchange", default=EXCHANGE, metavar="URL")
    parser.add_argument("--publisher-id", default="binance", metavar="NAME")
    running = asyncio.create_task(bridge(parser.parse_args()))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass
    except (TickerError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    asyncio.run(main())

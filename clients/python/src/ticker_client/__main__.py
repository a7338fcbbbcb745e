"""The command `ticker-client`: prints the last candles of some symbols, then live ticks."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from grpc import StatusCode

from . import CallError, CaughtUp, Client, Quote, Tick, TickerError, contract
from ._times import SECOND_NS, time_ns, utc

# A call about a symbol that is refused ends with one of these. The watch says why it is.
REFUSALS = {StatusCode.NOT_FOUND, StatusCode.PERMISSION_DENIED, StatusCode.INVALID_ARGUMENT}


class Parser(argparse.ArgumentParser):
    """Reports bad usage in one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"error: {message}\n")


def main() -> None:
    """Exits with 1 after a failure and with 2 after bad usage."""
    parser = Parser(prog="ticker-client", description=__doc__)
    parser.add_argument("--endpoints", default="127.0.0.1:50051", metavar="HOST:PORT,…")
    parser.add_argument("--symbols", default="RELIANCE,TCS", metavar="SYMBOL,…")
    parser.add_argument("--seconds", type=float, default=10, help="how long to watch (default: 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per event")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="PEM file of the servers' CA")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="needs --tls-ca")
    options = parser.parse_args()
    symbols = options.symbols.split(",")
    if not all(symbols):
        parser.error(f"--symbols {options.symbols!r} has an empty symbol")
    if not 0 < options.seconds < float("inf"):
        parser.error(f"--seconds {options.seconds:g} is not a positive number")
    # Reads the file again for every call, because tokens are renewed.
    token = options.token_file.read_text if options.token_file else None
    try:
        if token:
            token()
        client = Client(options.endpoints, tls_ca=options.tls_ca, token=token)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    try:
        with client:
            rows = events(client, symbols, options.seconds)
            for line in map(json.dumps, rows) if options.json else table(rows):
                print(line, flush=True)
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would flush once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (TickerError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        pass


def events(client: Client, symbols: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    """The tape, the candles of its last five minutes, and what a watch yields."""
    tape = client.tape()
    yield {"event": "tape", "tape_id": tape.tape_id, "time": rfc3339(tape.time_ns)}
    for symbol in symbols:
        try:
            yield from candles(client, symbol, tape.time)
        except CallError as error:
            if error.code not in REFUSALS:
                raise
    for event in client.watch(symbols, quotes=True, timeout=seconds):
        match event:
            case Tick(quote=Quote(bid=bid, ask=ask)):
                yield {
                    "event": "tick",
                    "symbol": event.symbol,
                    "sequence": event.sequence,
                    "ltp": event.ltp,
                    "time": rfc3339(event.time_ns),
                    "bid": bid or 0,
                    "ask": ask or 0,
                    "snapshot": event.snapshot,
                }
            case CaughtUp():
                yield {"event": "caught_up", **asdict(event)}
            case _:
                yield {"event": type(event).__name__.lower(), **asdict(event)}


def candles(client: Client, symbol: str, now: datetime) -> Iterator[dict[str, Any]]:
    """All pages of the candles of five minutes."""
    minute = timedelta(minutes=1)
    request = contract.ListCandlesRequest(
        symbol=symbol, interval=minute, start_time=now - 5 * minute, end_time=now
    )
    for page in client.pages(contract.LIST_CANDLES, request):
        for candle in page.candles:
            yield {
                "event": "candle",
                "symbol": symbol,
                "open_time": rfc3339(time_ns(candle.open_time)),
                "open": candle.open_price,
                "high": candle.high_price,
                "low": candle.low_price,
                "close": candle.close_price,
                "volume": candle.volume,
            }


def table(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Values in columns, and a line of names before the first event of each kind."""
    seen = set()
    for row in rows:
        values = [value if isinstance(value, str) else json.dumps(value) for value in row.values()]
        widths = [30 if name.endswith("time") else 11 for name in row]
        lines = [values] if row["event"] in seen else [[*row], values]
        seen.add(row["event"])
        for line in lines:
            yield " ".join(map(str.ljust, line, widths)).rstrip()


def rfc3339(time_ns: int) -> str:
    """A time in UTC, with its nanoseconds."""
    return f"{utc(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND_NS:09}Z"


if __name__ == "__main__":
    main()

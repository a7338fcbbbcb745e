"""The command `ticker-client`: prints the last candles of some symbols, then live ticks."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from . import (
    CallError,
    CaughtUp,
    Client,
    Connected,
    Disconnected,
    Event,
    Gap,
    Quote,
    Refused,
    Tick,
    TickerError,
    contract,
)
from ._times import SECOND_NS, time_ns, utc


class Parser(argparse.ArgumentParser):
    """Reports bad usage in one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"error: {message}\n")


def main() -> int:
    """Returns the exit code."""
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
    if options.token_file and not options.tls_ca:
        parser.error("--token-file needs --tls-ca: a token is never sent in plain text")
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
            show_past(client, symbols, options.json)
            for event in client.watch(symbols, quotes=True, timeout=options.seconds):
                show_json(event) if options.json else show_text(event)
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would flush once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (TickerError, OSError) as error:
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def show_past(client: Client, symbols: list[str], as_json: bool) -> None:
    """Prints the tape and the candles of its last five minutes."""
    tape = client.tape()
    if as_json:
        show_object("tape", tape_id=tape.tape_id, time=rfc3339(tape.time_ns))
    else:
        show(f"tape {tape.tape_id} at {tape.time:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z")
        show("SYMBOL      TIME                     OPEN       HIGH        LOW      CLOSE   VOLUME")
    for symbol in symbols:
        request = contract.ListCandlesRequest(
            symbol=symbol,
            interval=timedelta(minutes=1),
            start_time=tape.time - timedelta(minutes=5),
            end_time=tape.time,
        )
        try:
            answer = client.call(contract.LIST_CANDLES, request)
        except CallError as error:
            complain(str(error))
            continue
        for candle in answer.candles:
            show_candle(symbol, candle, as_json)


def show_candle(symbol: str, candle: contract.Candle, as_json: bool) -> None:
    """Prints a candle."""
    prices = {
        "open": candle.open_price,
        "high": candle.high_price,
        "low": candle.low_price,
        "close": candle.close_price,
    }
    time = time_ns(candle.open_time)
    if as_json:
        volume = candle.volume
        show_object("candle", symbol=symbol, open_time=rfc3339(time), **prices, volume=volume)
    else:
        columns = "".join(f"{price:>11}" for price in prices.values())
        show(f"{symbol:<12}{utc(time):%Y-%m-%dT%H:%MZ} {columns}{candle.volume:>9}")


def show_text(event: Event) -> None:
    """Prints an event as a line."""
    match event:
        case Tick(symbol, sequence, ltp, quote=Quote(bid=bid, ask=ask)):
            show(f"{symbol:<12}{sequence:>11}{ltp:>11}{bid or 0:>11}{ask or 0:>11}")
        case Gap(symbol, first, last):
            show(f"gap {symbol} {first} to {last}")
        case CaughtUp(symbol, sequence):
            show(f"caught up {symbol} {sequence}")
        case Connected(endpoint):
            show(f"connected to {endpoint}")
        case Disconnected(endpoint, reason):
            complain(f"disconnected from {endpoint}: {reason}")
        case Refused(symbol, message):
            complain(f"refused {symbol}: {message}")


def show_json(event: Event) -> None:
    """Prints an event as a JSON object."""
    match event:
        case Tick(symbol, sequence, ltp, snapshot=snapshot, quote=Quote(bid=bid, ask=ask)):
            show_object(
                "tick",
                symbol=symbol,
                sequence=sequence,
                ltp=ltp,
                time=rfc3339(event.time_ns),
                bid=bid or 0,
                ask=ask or 0,
                snapshot=snapshot,
            )
        case CaughtUp():
            show_object("caught_up", **asdict(event))
        case _:
            show_object(type(event).__name__.lower(), **asdict(event))


def show_object(event: str, **fields: str | float | bool) -> None:
    """Prints a JSON object."""
    show(json.dumps({"event": event, **fields}, separators=(",", ":")))


def show(line: str) -> None:
    """Prints a line, which a reader of a pipe gets at once."""
    print(line, flush=True)


def complain(line: str) -> None:
    """Prints a line on standard error."""
    print(line, file=sys.stderr)


def rfc3339(time_ns: int) -> str:
    """A time in UTC, with its nanoseconds."""
    return f"{utc(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns % SECOND_NS:09}Z"


if __name__ == "__main__":
    sys.exit(main())

"""Compares ticks that came through a browser's way with those that `ListTicks` gives over gRPC."""

from grpc_client import V1

# A minute of the past.
START, END = "2026-03-02T09:15:00Z", "2026-03-02T09:16:00Z"


def listed(client, symbol, first, last):
    """The ticks of a symbol with these sequences, both inclusive, over gRPC."""
    found, token = [], ""
    while not found or token:
        request = {
            "symbol": symbol,
            "startSequence": first,
            "endSequence": last + 1,
            "pageSize": 10_000,
            "pageToken": token,
        }
        page = client.call(V1, "ListTicks", request)
        found += page.ticks
        token = page.next_page_token
    return found


def check_every_tick(client, ticks):
    """Checks that `ticks` are those of the tape: of each symbol every tick from the first one on, once and in order.
    Returns how many there are of each symbol."""
    by_symbol = {}
    for tick in ticks:
        by_symbol.setdefault(tick.symbol, []).append(tick)
    for symbol, found in by_symbol.items():
        sequences = [tick.sequence for tick in found]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), f"{symbol}: {sequences}"
        for tick, expected in zip(found, listed(client, symbol, sequences[0], sequences[-1]), strict=True):
            # The last price on subscribing is marked as such; it is the same tick all the same.
            expected.snapshot = tick.snapshot
            assert tick == expected
    return {symbol: len(found) for symbol, found in by_symbol.items()}

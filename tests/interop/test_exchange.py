"""The bridge of examples/exchange between an exchange, here a stub of it, and a ticker."""

import asyncio
import json
import signal
import threading
import time

from websockets.asyncio.server import serve as serve_websockets

from conftest import ROOT, TOOLS, missing
from grpc_client import V1, Client
from processes import Process

PYTHON = TOOLS / "client-python" / "bin" / "python"
INSTRUMENTS = ROOT / "examples/exchange/binance.toml"


class Exchange(threading.Thread):
    """Sends each connection one list of messages, then drops it; the last connection stays open."""

    def __init__(self, *connections):
        super().__init__(daemon=True)
        self.connections, self.paths, self.port = list(connections), [], None
        self.ready, self.pongs = threading.Event(), 0
        self.start()
        assert self.ready.wait(5)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/stream"

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        async with serve_websockets(self.talk, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await asyncio.Future()

    async def talk(self, socket):
        self.paths.append(socket.request.path)
        messages = self.connections.pop(0)
        for message in messages:
            await socket.send(message)
        await (await socket.ping())
        self.pongs += 1
        if self.connections:
            # Without a closing handshake.
            socket.transport.abort()
        else:
            await socket.wait_closed()


def trade(number, price, quantity, symbol="BTCUSDT"):
    now = time.time_ns() // 1_000_000
    data = {"e": "trade", "E": now, "s": symbol, "t": number, "p": price, "q": quantity, "T": now, "m": True}
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


def stored(server, symbol):
    with Client(server.address) as client:
        page = client.call(V1, "ListTicks", {"symbol": symbol, "page_size": 10000}, timeout=10)
        return [(tick.ltp_nanos, tick.last_quantity) for tick in page.ticks]


def wait_for(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_every_trade_is_stored_once_and_in_order_over_a_dropped_connection(serve):
    if not PYTHON.exists():
        missing("the client in Python (tests/interop/prepare builds it)")
    first = [trade(number, f"90000.{number % 100:02}000000", f"0.{number:05}000") for number in range(1, 2501)]
    first.insert(7, trade(5, "3000.01000000", "1.50000000", "ETHUSDT"))
    first.insert(9, json.dumps({"stream": "btcusdt@trade", "data": {"e": "serverShutdown", "E": 1}}))
    first.insert(11, trade(9_999, "9x", "1"))
    # The exchange sends one again, and one did not come.
    second = [trade(2500, "90000.00000000", "0.02500000"), trade(2502, "90001.5", "2")]
    exchange = Exchange(first, second)
    server = serve("--feed", "memory", "--instruments", INSTRUMENTS)
    command = [PYTHON, ROOT / "examples/exchange/binance.py", "--instruments", INSTRUMENTS]
    with Process([*command, "--exchange", exchange.url, "--endpoints", server.address]) as bridge:
        expected = [(90_000_000_000_000 + number % 100 * 10_000_000, number) for number in range(1, 2501)]
        expected.append((90_001_500_000_000, 200_000))
        wait_for(lambda: "2502 did not come" in "".join(bridge.stderr), bridge)
        bridge.send(signal.SIGINT)
        assert bridge.wait(10) == 0, str(bridge)
        said = "".join(bridge.stderr)
    assert stored(server, "BTC-USDT") == expected, said
    assert stored(server, "ETH-USDT") == [(3_000_010_000_000, 15_000)]
    assert said.count("skipped a message: price '9x' is no number") == 1
    assert "BTC-USDT: 1 trades before 2502 did not come" in said
    assert said.count("connected to ws://") == 2 and "the exchange is away" in said
    assert exchange.paths == ["/stream?streams=btcusdt@trade/ethusdt@trade"] * 2
    assert exchange.pongs == 2

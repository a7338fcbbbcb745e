"""Publishers that are killed, and what must be stored of theirs."""

import subprocess
import sys
from pathlib import Path

from feed.publisher import PRICES, SYMBOLS, price_of, symbol_of
from grpc_client import V1, Client

PROGRAM = Path(__file__).with_name("publisher.py")


class Publisher:
    """A publisher, however often it is started."""

    def __init__(self, place, addresses, seed, directory):
        self.place, self.addresses, self.seed = place, addresses, seed
        # A pipe that nobody reads would stop it.
        self.output = directory / f"publisher-{place}"
        self.acknowledged, self.starts = 0, 0
        self.start()

    def start(self):
        self.starts += 1
        arguments = [f"p{self.place}", self.place, self.acknowledged + 1, self.seed + self.starts, *self.addresses]
        command = [sys.executable, str(PROGRAM), *map(str, arguments)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output)

    def progress(self):
        """The last number that was acknowledged. The last line may be torn."""
        lines = [line for line in self.output.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return max([self.acknowledged, *map(int, lines)])

    def read(self):
        """Waits until the process has ended, and reads what was acknowledged."""
        self.process.stdin.close()
        self.process.wait(60)
        self.acknowledged = self.progress()

    def acknowledged_of(self, symbol):
        return (number for number in range(1, self.acknowledged + 1) if symbol_of(number) == symbol)

    def kill(self):
        self.process.kill()
        self.read()

    def stop(self):
        self.read()
        assert self.process.returncode == 0


def stored(address, symbol):
    """The sequence and the price of every stored tick of a symbol."""
    ticks, token = [], ""
    with Client(address) as client:
        while True:
            request = {"symbol": symbol, "page_size": 10000, "page_token": token}
            page = client.call(V1, "ListTicks", request, timeout=30)
            ticks += [(tick.sequence, tick.ltp_nanos) for tick in page.ticks]
            token = page.next_page_token
            if not token:
                return ticks


def check_stored(address, publishers):
    """Checks that every acknowledged tick is stored once, and each publisher's ticks in their order."""
    for symbol in SYMBOLS:
        ticks = stored(address, symbol)
        assert [sequence for sequence, _ in ticks] == list(range(1, len(ticks) + 1)), "sequences are dense"
        for publisher in publishers:
            # Those after the acknowledged ones may be stored or not: their answer was lost.
            own = [price for _, price in ticks if price % PRICES == publisher.place]
            assert own == sorted(set(own)), symbol
            due = {price_of(number, publisher.place) for number in publisher.acknowledged_of(symbol)}
            last = price_of(publisher.acknowledged, publisher.place)
            assert {price for price in own if price <= last} == due, symbol

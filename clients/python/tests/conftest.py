"""Servers of the binary that TICKER_BIN names, and watches that run beside the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from ticker_client import AsyncClient, Client, Event, Gap, Tick

PATIENCE = 20


def free_port() -> int:
    """A port that is still free when a server that was stopped comes back.

    It is below the ports that the system gives to clients and for port 0.
    """
    while True:
        port = random.randrange(10_000, 20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A server, which keeps its port when it is started again."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it serves."""
        if "TICKER_BIN" not in os.environ:
            pytest.skip("TICKER_BIN does not name a binary of the server")
        command = [os.environ["TICKER_BIN"], "serve", "--listen", self.endpoint]
        command += ["--admin", "127.0.0.1:0", "--no-board", *self.arguments]
        # The server warns of variables that it does not know.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TICKER_")
        }
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdout
        assert self.process.stdout.readline().endswith(f" on {self.endpoint}\n"), command

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self.process
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal that ends the server, and waits for its end."""
        assert self.process
        assert self.process.stdout
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        if server.process and server.process.poll() is None:
            server.end()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that no test changes."""
    server = Server("--heartbeat-interval", "200ms")
    yield server
    server.end()


class Broken(grpc.RpcError):
    """The end of a stream."""

    def __init__(self, code, details="why"):
        self._code, self._details = code, details

    def code(self):
        return self._code

    def details(self):
        return self._details


class Watch:
    """A watch in a thread of its own."""

    def __init__(self, kind: str, endpoints: list[str], arguments: Any, options: Any) -> None:
        self.events: list[Event] = []
        self.times: list[float] = []
        self.failure: BaseException | None = None
        self._news = threading.Condition()
        run = self._sync if kind == "sync" else lambda *given: asyncio.run(self._async(*given))
        self._thread = threading.Thread(
            target=self._guard, args=(run, endpoints, arguments, options)
        )
        self._thread.start()

    def wait_for(self, condition: Callable[[list[Event]], Any], patience: float = PATIENCE) -> None:
        """Waits until the events meet a condition."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self.events) or self.failure, patience), (
                self.events[-5:]
            )
        if self.failure and not condition(self.events):
            raise self.failure

    def wait_for_ticks(self, count: int) -> None:
        """Waits for so many ticks from now on."""
        begin = len(self.events)
        self.wait_for(lambda events: sum(isinstance(e, Tick) for e in events[begin:]) >= count)

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of a type."""
        return [event for event in self.events if isinstance(event, kind)]

    def check_sequences(self) -> None:
        """No tick is missing, and none came twice."""
        assert not self.of(Gap)
        sequences = defaultdict(list)
        for tick in self.of(Tick):
            sequences[tick.symbol].append(tick.sequence)
        for numbers in sequences.values():
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def close(self) -> None:
        """Ends the watch."""
        self._stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.failure:
            raise self.failure

    def _guard(self, run: Callable[..., None], *given: Any) -> None:
        try:
            run(*given)
        except BaseException as failure:
            with self._news:
                self.failure = failure
                self._news.notify_all()

    def _note(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self.times.append(time.monotonic())
            self._news.notify_all()

    def _sync(self, endpoints: list[str], arguments: Any, options: Any) -> None:
        with Client(endpoints, **options) as client:
            self._stop = client.close
            for event in client.watch(**arguments):
                self._note(event)

    async def _async(self, endpoints: list[str], arguments: Any, options: Any) -> None:
        loop = asyncio.get_running_loop()
        async with AsyncClient(endpoints, **options) as client:
            self._stop = lambda: asyncio.run_coroutine_threadsafe(client.close(), loop).result()
            async for event in client.watch(**arguments):
                self._note(event)


@pytest.fixture(params=["sync", "async"])
def watch(request: pytest.FixtureRequest) -> Iterator[Callable[..., Watch]]:
    """Watches with `Client`, then with `AsyncClient`. One symbol has ten ticks a second."""
    watches: list[Watch] = []

    def start(*servers: Server, options: Any = None, **arguments: Any) -> Watch:
        arguments = {"symbols": ["RELIANCE", "TEST.SQUARE"], **arguments}
        endpoints = [server.endpoint for server in servers]
        watches.append(Watch(request.param, endpoints, arguments, options or {}))
        return watches[-1]

    yield start
    for watch in watches:
        if not watch.failure:
            watch.close()

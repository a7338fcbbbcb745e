"""Fixtures of the clients in five languages."""

import pytest

from clients.programs import PROGRAMS, Watch
from grpc_client import V1, Client


def pytest_collection_modifyitems(items):
    """Those that take longest come first, since some run side by side."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(params=PROGRAMS)
def language(request):
    """Each of the five."""
    return request.param


@pytest.fixture
def watch():
    """Starts a client that is ended with its test."""
    running = []

    def start(*arguments):
        running.append(Watch(*arguments))
        return running[-1]

    yield start
    for client in running:
        with client:
            pass


def tape_of(address):
    """`truth` of `programs.count`: the ticks as a server lists them."""

    def truth(symbol, first, last):
        ticks, start = {}, first
        with Client(address) as client:
            while start <= last:
                asked = {"symbol": symbol, "startSequence": start, "endSequence": last + 1, "pageSize": 10_000}
                page = client.call(V1, "ListTicks", asked, timeout=10).ticks
                ticks |= {tick.sequence: tick for tick in page}
                start = page[-1].sequence + 1
        return ticks

    return truth

"""Fixtures of the clients in five languages."""

import pytest

from clients.programs import PROGRAMS, Watch


def pytest_collection_modifyitems(items):
    """Starts the slowest tests first, because tests run in parallel."""
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

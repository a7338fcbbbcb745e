"""Fixtures of the abuse suite, and the table that it prints at the end.

`ABUSE=long` runs the long form. `ABUSE_TABLE` names a file to write the table to."""

import os
from pathlib import Path

import pytest

from harness import LONG, Case, HealthyClient, Served
from table import render

FIGURES = []


def pytest_collection_modifyitems(items):
    """The long form takes longer than other tests may."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600 if LONG else 120))


@pytest.fixture(scope="session")
def control(binary):
    """The healthy client of a server that nobody attacks."""
    with Served(binary) as server:
        client = HealthyClient(server.address)
        yield client
        client.stop()


@pytest.fixture
def case(binary, control):
    """Makes cases: `with case("name", "--any-symbol", workers=2) as it:`."""

    def make(name, *options, **settings):
        made = Case(name, binary, *options, control=control, **settings)
        FIGURES.append(made.figures)
        return made

    return make


def pytest_terminal_summary(terminalreporter):
    """Prints the table."""
    if not FIGURES:
        return
    table = render(FIGURES)
    terminalreporter.section("attacks")
    terminalreporter.write_line(table)
    if os.environ.get("ABUSE_TABLE"):
        Path(os.environ["ABUSE_TABLE"]).write_text(table + "\n")

"""Fixtures of the interop tests: servers on free ports, and the clients that talk to them."""

import os
import shutil
from pathlib import Path

import pytest

from grpc_client import Client
from processes import Server

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target" / "interop"


def missing(what):
    """Ends a test whose tool is not there: a skip at a desk, a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it", pytrace=False)
    pytest.skip(f"{what} is missing")


def tool(name, *places):
    """The path of an executable, from `places` or else from PATH."""
    for place in places:
        if (place / name).exists():
            return str(place / name)
    return shutil.which(name) or missing(name)


@pytest.fixture(scope="session")
def root():
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def binary():
    """The release binary, or the one that TICKER_BIN names."""
    # Not for its children: the program warns of variables that it does not know.
    path = Path(os.environ.pop("TICKER_BIN", ROOT / "target" / "release" / "ticker"))
    assert path.exists(), f"{path} is not there: cargo build --release"
    return str(path)


@pytest.fixture(scope="session")
def grpcurl():
    """grpcurl as tests/interop/prepare built it."""
    return tool("grpcurl", TOOLS / "bin")


@pytest.fixture(scope="session")
def h2spec():
    """h2spec as tests/interop/prepare built it."""
    return tool("h2spec", TOOLS / "bin")


@pytest.fixture(scope="session")
def buf():
    """buf as tests/interop/prepare installed it."""
    return tool("buf", TOOLS / "npm" / "node_modules" / ".bin")


@pytest.fixture(scope="session")
def checkout():
    """The copy of the sources in which tests/interop/prepare has built the clients of other languages."""
    if not (TOOLS / "clients.inputs").exists():
        missing("the clients of other languages (tests/interop/prepare builds them)")
    return TOOLS / "checkout"


@pytest.fixture
def serve(binary):
    """Starts servers of this test's own: `serve("--seed", "7")`."""
    running = []

    def start(*arguments, program=(binary,), listen="127.0.0.1:0"):
        running.append(Server([*program, "serve", "--listen", listen, "--admin", "127.0.0.1:0", *arguments]))
        return running[-1]

    yield start
    for server in running:
        server.check_and_stop()


@pytest.fixture(scope="session")
def busy(tmp_path_factory):
    """A file of instruments that trade often: even in a lull they have some ticks a second."""
    file = tmp_path_factory.mktemp("busy") / "instruments.toml"
    file.write_text(
        "".join(
            f'[[instrument]]\nsymbol = "{symbol}"\nreference_price = 100\ntick_interval = "20ms"\n'
            for symbol in ("RELIANCE", "TCS", "BTC-USD")
        )
    )
    return str(file)


@pytest.fixture(scope="session")
def server(binary):
    """One server for all tests that leave it as it was. It must be alive and well at the end."""
    server = Server([binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--seed", "7"])
    yield server
    server.check_and_stop()


@pytest.fixture
def client(server):
    """A client of the shared server on a connection of its own."""
    with Client(server.address) as client:
        yield client

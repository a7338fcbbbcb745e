"""Fixtures of the tests of what browsers and curl reach: clients, a proxy, and a browser."""

import os
import shutil

import pytest

from conftest import TOOLS, missing, tool
from grpc_client import HEALTH, V1, Client
from ports import free_address
from processes import Server
from web.neighbour import Neighbour
from web.node_client import NodeClient, descriptors

HERE = os.path.dirname(__file__)


class Restartable:
    """A server that can be killed and started again at the same address."""

    def __init__(self, binary, *options):
        self.address = free_address()
        self.command = [binary, "serve", "--listen", self.address, "--admin", "127.0.0.1:0", "--seed", "7", *options]
        self.start()

    def start(self):
        self.server = Server(self.command)

    def kill(self):
        self.server.kill()


@pytest.fixture(scope="session")
def contract(server):
    """The messages and methods, by reflection."""
    with Client(server.address) as client:
        # It asks the server for what it has not seen, so the connection stays.
        yield client.pool


@pytest.fixture
def client(server, contract):
    """A client of the shared server on a connection of its own. Messages are equal only if their types are the same."""
    with Client(server.address, contract=contract) as client:
        yield client


@pytest.fixture(scope="session")
def node_environment():
    """The environment of programs in Node, which finds their libraries."""
    modules = TOOLS / "web" / "node_modules"
    if not shutil.which("node") or not modules.exists():
        missing("Node with connect-web and grpc-web (tests/interop/prepare with npm)")
    return os.environ | {"NODE_PATH": str(modules)}


@pytest.fixture(scope="session")
def web(node_environment, contract, tmp_path_factory):
    """The gRPC-Web clients."""
    file = tmp_path_factory.mktemp("web") / "descriptors.binpb"
    file.write_bytes(descriptors(contract, [V1, HEALTH]).SerializeToString())
    clients = NodeClient(node_environment, file, contract)
    yield clients
    clients.stop()


@pytest.fixture
def proxy(node_environment):
    """Starts proxies that speak HTTP/1.1 only: `proxy(server)`."""
    running = []

    def start(server):
        command = ["node", f"{HERE}/node/proxy.js", *server.address.rsplit(":", 1)]
        running.append(Server(command, env=node_environment))
        return running[-1]

    yield start
    for each in running:
        each.kill()


@pytest.fixture(scope="session")
def curl():
    """curl, which must stream what it gets."""
    return tool("curl")


@pytest.fixture(scope="module")
def chromium():
    """A real Chromium, driven by Playwright, whose event loop takes this thread as long as it lives."""
    from playwright.sync_api import sync_playwright

    path = tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def restartable(binary):
    """Starts servers that can be killed and started again."""
    started = []

    def start(*options):
        started.append(Restartable(binary, *options))
        return started[-1]

    yield start
    for each in started:
        if each.server.process.poll() is None:
            each.server.check_and_stop()


@pytest.fixture(scope="module")
def neighbour(server, contract):
    """A stream of the shared server through all tests of one file."""
    neighbour = Neighbour(server.address, contract)
    yield neighbour
    neighbour.finish()


@pytest.fixture
def others_are_served(neighbour):
    """Another client of the shared server loses nothing in this test."""
    yield
    neighbour.check()

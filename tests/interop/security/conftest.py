"""Fixtures of the security tests: an issuer of tokens, a certificate authority, and servers that need them."""

import os

import grpc
import pytest

from grpc_client import V1, Client
from processes import Server
from security.certificates import Authority
from security.issuer import Issuer
from security.relay import Relay

INSTRUMENTS = ["BSE:TCS", "INFY", "NSE:INFY", "NSE:TCS", "RELIANCE", "TCS"]
ROLES = """
[roles]
analyst = ["ticker:read:NSE:*", "ticker:read:TCS"]
nobody = []
"""


class SecureServer(Server):
    """A server that logs all it can about calls. No token may be in the log."""

    def __init__(self, binary, issuer, *arguments):
        self.issuer = issuer
        common = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--seed", "7"]
        super().__init__([binary, "serve", *common, *arguments], env=os.environ | {"TICKER_LOG": "debug"})

    @property
    def log(self):
        """What was logged so far."""
        return "".join(self.stderr)

    def check_and_stop(self):
        super().check_and_stop()
        self.issuer.check_log(self.log + "".join(self.stdout))


@pytest.fixture(scope="session")
def issuer():
    """Makes tokens."""
    return Issuer()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Makes certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_pair(authority):
    """The certificate of the servers."""
    return authority.server()


@pytest.fixture(scope="session")
def tls_flags(server_pair):
    """The flags of a server with TLS."""
    return ["--tls-cert", server_pair.cert, "--tls-key", server_pair.key]


@pytest.fixture(scope="session")
def channel_tls(authority):
    """Makes the credentials of a channel, for mutual TLS with the pair of a client."""

    def make(pair=None, ca=authority):
        key, certificate = pair.bytes() if pair else (None, None)
        return grpc.ssl_channel_credentials(ca.file.read_bytes(), key, certificate)

    return make


@pytest.fixture(scope="session")
def contract(server):
    """The messages and methods, from a server that shows them to everybody."""
    with Client(server.address) as client:
        # It asks the server for what it has not seen, so the connection stays.
        yield client.pool


@pytest.fixture(scope="session")
def files(tmp_path_factory, issuer):
    """The files of a server with tokens."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "jwks.json").write_text(issuer.jwks())
    (folder / "roles.toml").write_text(ROLES)
    (folder / "instruments.toml").write_text(
        "".join(
            f'[[instrument]]\nsymbol = "{symbol}"\nreference_price = 100\ntick_interval = "20ms"\n'
            for symbol in INSTRUMENTS
        )
    )
    return folder


@pytest.fixture(scope="session")
def token_flags(files):
    """The flags of a server with tokens."""
    flags = ["--auth-jwks", "jwks.json", "--auth-roles", "roles.toml", "--instruments", "instruments.toml"]
    return [files / part if "." in part else part for part in flags]


@pytest.fixture(scope="session")
def guarded(binary, issuer, token_flags):
    """One server with tokens and without TLS, for all tests that leave it as it was."""
    server = SecureServer(binary, issuer, *token_flags, "--reflection", "on", "--heartbeat-interval", "500ms")
    yield server
    server.check_and_stop()


@pytest.fixture
def serve_secure(binary, issuer):
    """Starts servers of this test's own."""
    running = []

    def start(*arguments):
        running.append(SecureServer(binary, issuer, *arguments))
        return running[-1]

    yield start
    for server in running:
        server.check_and_stop()


@pytest.fixture
def connect(contract):
    """Connects clients: `connect(server, token)`."""
    clients = []

    def connect(server, token=None, tls=None):
        address = getattr(server, "address", server)
        clients.append(Client(address, tls=tls, token=token, contract=contract))
        return clients[-1]

    yield connect
    for client in clients:
        client.channel.close()


@pytest.fixture
def relay(guarded):
    """A way to the shared server from an address whose failed authentications are none."""
    with Relay(guarded.address) as relay:
        yield relay


@pytest.fixture
def healthy(guarded, issuer, connect):
    """An authenticated stream of the shared server, which must live through the test."""
    client = connect(guarded, issuer.token(subject="healthy"))
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE"]}})
        yield stream
        stream.ask({"ping": {}}, "pong")
        stream.until("tick")

"""A feed whose NATS asks for TLS, passwords or signed credentials."""

import subprocess

import pytest
from feed import nats_jwt
from feed.broker import Broker
from grpc_client import V1, Client
from ports import free_address
from processes import Server

TLS = "tls {{ cert_file: {0}/server.pem, key_file: {0}/server-key.pem }}\n"
USER = 'authorization { user: "ticker@home", password: "secret/1" }\n'
TOKEN = "authorization { token: secret }\n"


@pytest.fixture
def certificates(binary, tmp_path):
    directory = tmp_path / "certs"
    subprocess.run([binary, "certs", "--out", directory], check=True, capture_output=True, timeout=20)
    return directory


def command(binary, address, *options):
    return [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--feed", address, *options]


def check_feed(command, binary):
    """Publishes to a server, and reads it again after a restart."""
    for count in (1, 2):
        with Server(command) as server:
            publish = [binary, "publish", "--endpoint", f"http://{server.address}"]
            subprocess.run(publish, input="BTC-USD 90000 1\n", text=True, check=True, capture_output=True, timeout=20)
            with Client(server.address) as client:
                ticks = client.call(V1, "ListTicks", {"symbol": "BTC-USD"}).ticks
            assert [tick.sequence for tick in ticks] == list(range(1, count + 1))
            server.check_and_stop()
        assert "secret" not in "".join(server.stdout + server.stderr)


def refusal(command):
    """What a server says that does not start."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1, ended
    assert "secret" not in ended.stderr and "panicked" not in ended.stderr
    return ended.stderr


def test_a_password_and_tls(binary, tmp_path, certificates):
    broker = Broker(tmp_path / "broker", TLS.format(certificates) + USER)
    try:
        ca = ["--feed-nats-ca", certificates / "ca.pem"]
        address = f"tls://ticker%40home:secret%2F1@{broker.address}"
        # The other servers of a cluster know the same user, and this one is away.
        check_feed(command(binary, f"{address},tls://{free_address()}", *ca), binary)
        refused = refusal(command(binary, f"tls://ticker:secret@{broker.address}", *ca))
        assert "authorization violation" in refused, refused
        unknown = refusal(command(binary, address))
        assert "certificate" in unknown, unknown
    finally:
        broker.kill()


def test_a_token(binary, tmp_path):
    broker = Broker(tmp_path / "broker", TOKEN)
    try:
        check_feed(command(binary, f"nats://secret@{broker.address}"), binary)
        refused = refusal(command(binary, f"nats://secret2@{broker.address}"))
        assert "authorization violation" in refused, refused
    finally:
        broker.kill()


def test_signed_credentials(binary, tmp_path):
    configuration, credentials = nats_jwt.operator(tmp_path)
    broker = Broker(tmp_path / "broker", configuration)
    try:
        address = f"nats://{broker.address}"
        check_feed(command(binary, address, "--feed-nats-credentials", credentials), binary)
        refused = refusal(command(binary, address))
        assert "authorization violation" in refused, refused
        missing = refusal(command(binary, address, "--feed-nats-credentials", tmp_path / "none"))
        assert "cannot use the credentials in" in missing, missing
        (tmp_path / "bad").write_text("no credentials")
        bad = refusal(command(binary, address, "--feed-nats-credentials", tmp_path / "bad"))
        assert "cannot use the credentials in" in bad, bad
    finally:
        broker.kill()

"""TLS and tokens."""

import os
import subprocess

import grpc
import pytest

from ticker_client import CallError, Client, Connected, Disconnected


@pytest.fixture
def ticker(tmp_path):
    """Runs the command that makes certificates and tokens."""

    def run(*arguments):
        if "TICKER_BIN" not in os.environ:
            pytest.skip("TICKER_BIN does not name a binary of the server")
        command = [os.environ["TICKER_BIN"], *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    return run


@pytest.fixture
def secured(ticker, tmp_path, serve):
    """Two servers with TLS that want tokens, and the folder of the files."""
    ticker("certs", "--out", ".")
    ticker("token", "--out", ".", "--sub", "me")
    arguments = ["--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server-key.pem"]
    arguments += ["--auth-jwks", tmp_path / "jwks.json"]
    return [serve(*map(str, arguments)) for _ in range(2)], tmp_path


def options_of(folder):
    return {"tls_ca": folder / "ca.pem", "token": (folder / "me.token").read_text}


def test_a_watch_fails_over_with_tls_and_tokens(secured, watch):
    servers, folder = secured
    watching = watch(*servers, options=options_of(folder))
    watching.wait_for_ticks(5)
    servers[0].end()
    watching.wait_for_ticks(5)
    watching.check_sequences()
    assert len(watching.of(Connected)) == 2


def test_calls_send_the_token(secured):
    servers, folder = secured
    with Client(servers[0].endpoint, **options_of(folder)) as client:
        assert len(client.tape().tape_id) == 32
    token = (folder / "me.token").read_text()
    with Client(servers[0].endpoint, tls_ca=folder / "ca.pem", token=token) as client:
        assert len(client.tape().tape_id) == 32


def test_without_a_token_it_ends(secured, watch):
    servers, folder = secured
    watching = watch(*servers, options={"tls_ca": folder / "ca.pem"})
    with pytest.raises(CallError, match="UNAUTHENTICATED: a token is required") as failure:
        watching.wait_for(lambda _: False)
    assert failure.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_a_watch_goes_on_with_a_fresh_token_until_nobody_renews_it(secured, ticker, watch):
    servers, folder = secured
    ticker("token", "--out", ".", "--sub", "me", "--ttl", "2s")
    watching = watch(*servers, options=options_of(folder))
    watching.wait_for_ticks(5)
    ticker("token", "--out", ".", "--sub", "me", "--ttl", "10s")
    # The server accepts a token for half a minute more.
    watching.wait_for(lambda _: len(watching.of(Connected)) == 2, 40)
    watching.wait_for_ticks(5)
    with pytest.raises(CallError, match="UNAUTHENTICATED"):
        watching.wait_for(lambda _: False, 40)
    watching.check_sequences()
    assert len(watching.of(Connected)) == 2
    assert all(left.reason.startswith("UNAUTHENTICATED") for left in watching.of(Disconnected))


def test_another_ca_is_not_trusted(secured, ticker, watch):
    servers, folder = secured
    ticker("certs", "--out", "other")
    options = {**options_of(folder), "tls_ca": folder / "other/ca.pem"}
    watching = watch(*servers, options=options, timeout=5)
    watching.wait_for(lambda events: len(events) > 1)
    assert all("UNAVAILABLE" in event.reason for event in watching.events)


def test_mutual_tls(ticker, tmp_path, serve):
    ticker("certs", "--out", ".")
    pem = {path.stem: path.read_bytes() for path in tmp_path.glob("*.pem")}
    flags = {"--tls-cert": "server", "--tls-key": "server-key", "--tls-client-ca": "ca"}
    server = serve(*(part for f, name in flags.items() for part in (f, f"{tmp_path}/{name}.pem")))
    credentials = grpc.ssl_channel_credentials(pem["ca"], pem["client-key"], pem["client"])
    with Client(server.endpoint, credentials=credentials) as client:
        assert len(client.tape().tape_id) == 32


def test_a_token_is_never_sent_in_plain_text():
    with pytest.raises(ValueError, match="a token is never sent in plain text"):
        Client("localhost:1", token="secret")

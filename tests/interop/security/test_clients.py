"""Real clients with TLS, certificates and tokens: grpcurl, grpcio, grpc-go, and the commands of this project."""

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import ROOT, TOOLS, tool
from grpc_client import GOGEN, V1
from processes import Process
from replicas.harness import Fleet, wait_until
from security.certificates import Authority
from security.conftest import SecureServer
from security.relay import Relay
from security.test_rotation import metric
from security.test_tokens import EXPIRED, INVALID, MISSING


@pytest.fixture(scope="module")
def secured(binary, issuer, authority, tls_flags, token_flags):
    """A server that needs a certificate and a token of its clients."""
    server = SecureServer(
        binary, issuer, *tls_flags, "--tls-client-ca", authority.file, *token_flags, "--reflection", "on"
    )
    yield server
    server.check_and_stop()


class Identity:
    """The files of a client: its certificate and its token."""

    def __init__(self, authority, folder, token):
        self.ca, self.pair, self.token_file = authority.file, authority.client(), folder / "token"
        self.write(token)

    def write(self, token):
        """Replaces the token as a whole."""
        fresh = self.token_file.with_suffix(".next")
        fresh.write_text(token + "\n")
        os.replace(fresh, self.token_file)

    @property
    def flags(self):
        """The flags of our commands."""
        pair = ["--cert", self.pair.cert, "--key", self.pair.key]
        return [str(flag) for flag in ["--tls-ca", self.ca, *pair, "--token-file", self.token_file]]


@pytest.fixture
def identity(authority, issuer, tmp_path):
    """A client that may see two of the instruments."""
    return Identity(authority, tmp_path, issuer.token("ticker:read:TCS ticker:read:NSE:INFY"))


@pytest.fixture
def ticker(binary):
    """Runs a command of ours until it ends."""

    def run(*arguments, env=None, seconds=15):
        command = [binary, *map(str, arguments)]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=os.environ | (env or {}),
        )

    return run


@pytest.fixture
def watch(binary):
    """Starts `ticker watch`, with ticks in JSON."""
    running = []

    def start(*arguments):
        command = [binary, "watch", *arguments, "--delivery", "every-tick", "--output", "json"]
        running.append(Process(command))
        return running[-1]

    yield start
    for process in running:
        process.kill()


def without(flags, name):
    """Flags without one and its value."""
    at = flags.index(name)
    return flags[:at] + flags[at + 2 :]


@pytest.fixture
def curl(grpcurl, secured):
    """Runs grpcurl against the secured server."""

    def run(identity, *arguments, cert=True, token=True, ca=None, data=None):
        pair = ["-cert", identity.pair.cert, "-key", identity.pair.key] if cert else []
        header = ["-H", f"authorization: Bearer {identity.token_file.read_text().strip()}"] if token else []
        data = ["-d", data] if data else []
        command = [
            grpcurl,
            "-cacert",
            ca or identity.ca,
            *pair,
            *header,
            *data,
            "-max-time",
            "10",
            secured.address,
            *arguments,
        ]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=20)

    return run


def test_grpcurl_is_served_with_a_ca_a_certificate_and_a_token(curl, identity):
    listed = curl(identity, "list")
    assert {GOGEN, V1} <= set(listed.stdout.split()), listed
    instruments = json.loads(curl(identity, f"{V1}/ListInstruments").stdout)["instruments"]
    assert [instrument["symbol"] for instrument in instruments] == ["NSE:INFY", "TCS"]
    # It ends by its own -max-time.
    streamed = curl(identity, f"{GOGEN}/TickerStream", data='{"symbol":"TCS"}')
    assert '"symbol": "TCS"' in streamed.stdout


def test_grpcurl_is_refused_without_one_of_them(curl, identity, tmp_path):
    refused = curl(identity, f"{V1}/GetTape", token=False)
    assert "code = Unauthenticated" in refused.stderr + refused.stdout and MISSING in refused.stderr + refused.stdout
    for options in [{"cert": False}, {"ca": Authority(tmp_path, "Another CA").file}]:
        refused = curl(identity, f"{V1}/GetTape", **options)
        assert refused.returncode != 0 and not refused.stdout


def test_grpcurl_reads_the_status_of_a_hidden_symbol(curl, identity):
    refused = curl(identity, f"{V1}/ListTicks", data='{"symbol":"RELIANCE"}')
    assert "Code: NotFound" in refused.stderr and "unknown symbol RELIANCE; list the symbols" in refused.stderr


def test_grpcio_is_served_with_call_credentials(secured, identity, connect, channel_tls):
    token = identity.token_file.read_text().strip()
    # The token goes with each call as call credentials, which grpcio sends over TLS only.
    client = connect(secured, token, channel_tls(identity.pair))
    assert client.metadata == []
    assert [tick.symbol for tick in client.call(V1, "GetLastPrices", timeout=5).ticks] == ["NSE:INFY", "TCS"]
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["*"]}})
        assert {stream.until("tick")[1].symbol for _ in range(10)} == {"NSE:INFY", "TCS"}


def go_client(address, identity, *flags):
    """The report of grpc-go after five seconds."""
    config = ROOT / "docs" / "service-config.json"
    common = [f"-target={address}", f"-service-config={config}", "-streams=4", "-channels=2", "-seconds=5"]
    files = [
        f"-ca={identity.ca}",
        f"-cert={identity.pair.cert}",
        f"-key={identity.pair.key}",
        f"-token-file={identity.token_file}",
    ]
    return Fleet("grpc-go", [tool("replicas-go", TOOLS / "bin"), *common, *files, *flags]).report()


@pytest.mark.parametrize("contract", ["v1", "gogen"])
def test_grpc_go_is_served_with_a_token_for_each_call(contract, secured, identity):
    report = go_client(secured.address, identity, f"-contract={contract}", "-symbols=TCS,NSE:INFY", "-calls=false")
    assert (report["codes"], report["missing"], report["out_of_order"]) == ({}, 0, 0)
    assert report["ticks"] > 4 * 2 * 4


def test_grpc_go_is_refused_with_a_token_that_is_not_sound(secured, identity, issuer):
    identity.write(issuer.token(aud="another"))
    # From an address of its own: its failures are not those of other tests.
    with Relay(secured.address) as relay:
        report = go_client(relay.address, identity, "-symbols=TCS", "-calls=false", "-streams=1", "-channels=1")
    assert set(report["codes"]) <= {"Unauthenticated", "ResourceExhausted"} and report["codes"]["Unauthenticated"] > 0
    assert report["ticks"] == 0


def test_our_commands_are_served(secured, identity, ticker, tmp_path):
    endpoint = ["--endpoint", f"https://{secured.address}"]
    listed = ticker("list", *endpoint, *identity.flags, "--output", "json")
    assert listed.returncode == 0, listed
    assert [json.loads(line)["symbol"] for line in listed.stdout.splitlines()] == ["NSE:INFY", "TCS"]
    health = ticker("health", *endpoint, *identity.flags)
    assert (health.returncode, health.stdout) == (0, "SERVING\n"), health
    # A minute of ticks, because history runs at the lowest priority.
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    with Relay(secured.address) as relay:
        replicas = [*endpoint, "--endpoint", f"https://{relay.address}"]
        verified = ticker("verify", "TCS", *replicas, "--from", start, *identity.flags)
    assert verified.returncode == 0, verified
    file = tmp_path / "ticks.csv"
    recorded = ticker("record", "*", "--out", file, "--count", "20", *endpoint, *identity.flags)
    assert recorded.returncode == 0, recorded
    text = file.read_text()
    assert "TCS" in text and "NSE:INFY" in text and "RELIANCE" not in text
    watched = ticker("watch", "TCS", "--count", "5", *endpoint, *identity.flags, "--output", "json")
    assert watched.returncode == 0 and watched.stdout.count('"symbol":"TCS"') == 5, watched


def test_our_commands_read_the_environment(secured, identity, ticker):
    env = {
        "TICKER_ENDPOINT": f"https://localhost:{secured.address.rsplit(':', 1)[1]}",
        "TICKER_TLS_CA": str(identity.ca),
        "TICKER_CERT": str(identity.pair.cert),
        "TICKER_KEY": str(identity.pair.key),
        "TICKER_TOKEN_FILE": str(identity.token_file),
    }
    listed = ticker("list", "--output", "json", env=env)
    assert listed.returncode == 0 and len(listed.stdout.splitlines()) == 2, listed


def test_our_commands_say_what_is_missing(secured, identity, ticker, issuer, tmp_path):
    endpoint, flags = ["--endpoint", f"https://{secured.address}"], identity.flags
    hidden = ticker("watch", "RELIANCE", *endpoint, *flags, "--count", "1")
    assert hidden.returncode == 1 and "unknown symbol RELIANCE; list the symbols" in hidden.stderr, hidden
    told = {
        "no token": (without(flags, "--token-file"), MISSING),
        "no certificate": (without(without(flags, "--cert"), "--key"), "certificate"),
        "another CA": (
            [*without(flags, "--tls-ca"), "--tls-ca", str(Authority(tmp_path / "ca", "Another CA").file)],
            "certificate",
        ),
        "no token file": (
            [*without(flags, "--token-file"), "--token-file", str(tmp_path / "none")],
            str(tmp_path / "none"),
        ),
        "no CA file": ([*without(flags, "--tls-ca"), "--tls-ca", str(tmp_path / "none")], str(tmp_path / "none")),
    }
    for row, (given, text) in told.items():
        refused = ticker("list", *endpoint, *given)
        assert refused.returncode == 1 and text.lower() in refused.stderr.lower(), (row, refused)
        assert "panicked" not in refused.stderr
    identity.write(issuer.token(aud="another"))
    refused = ticker("list", *endpoint, *flags)
    assert refused.returncode == 1 and INVALID in refused.stderr, refused
    # The Check of health needs no token, only the certificate.
    assert ticker("health", *endpoint, *flags).returncode == 0
    plain = ticker("list", "--endpoint", f"http://{secured.address}")
    assert plain.returncode == 1 and "this port needs TLS: connect with https://" in plain.stderr, plain
    assert ticker("list", *endpoint, *without(flags, "--key")).returncode == 2


def sequences(process):
    """The sequences of the ticks that a watch has printed."""
    ticks = [json.loads(line) for line in process.stdout if '"sequence"' in line]
    return [int(tick["sequence"]) for tick in ticks]


def test_a_watch_renews_its_token_without_a_gap(secured, authority, issuer, watch, tmp_path):
    expires = int(time.time()) - 20
    kinds = {"live": [], "replay": ["--from", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())]}
    identities, watches = {}, {}
    for kind, flags in kinds.items():
        (tmp_path / kind).mkdir()
        identities[kind] = Identity(authority, tmp_path / kind, issuer.token(subject=kind, exp=expires))
        watches[kind] = watch("TCS", "--endpoint", f"https://{secured.address}", *identities[kind].flags, *flags)
    # One whose token nobody replaces.
    (tmp_path / "old").mkdir()
    old = Identity(authority, tmp_path / "old", issuer.token(subject="old", exp=expires))
    ended = watch("TCS", "--endpoint", f"https://{secured.address}", *old.flags)
    for process in watches.values():
        process.documents(5)
    accepted = metric(secured, 'ticker_authentications_total{result="accepted"}')
    time.sleep(1.5)
    # Until there is a fresh token, no client asks for more than that.
    assert metric(secured, 'ticker_authentications_total{result="accepted"}') - accepted <= 3
    for kind, identity in identities.items():
        identity.write(issuer.token(subject=kind))
    assert ended.wait(15) == 1
    assert EXPIRED in "".join(ended.stderr)
    time.sleep(max(0, expires + 31 - time.time()))
    for kind, process in watches.items():
        count = len(process.stdout)
        wait_until(lambda: len(process.stdout) > count + 5, 5, lambda: f"{kind}: no ticks any more: {process}")
        process.send(signal.SIGINT)
        process.wait(5)
        seen = sequences(process)
        assert seen == list(range(seen[0], seen[-1] + 1)), f"{kind}: a tick is missing or comes twice"
    # The live stream takes the fresh token, and is not opened again.
    assert "connect" not in "".join(watches["live"].stderr), watches["live"]

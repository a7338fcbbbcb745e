"""Three replicas under one name, driven by clients that nobody here wrote: grpc-go, grpcio and grpc-js, with the service
config of docs/. REPLICAS=long restarts all replicas ten times, not twice."""

import os
import re
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import TOOLS, missing, tool
from ports import free_port

sys.path.insert(0, str(Path(__file__).parent / "replicas"))
from harness import ADDRESSES, LONG, Names, Replica, go_fleet, node_fleet, own_fleet  # noqa: E402
from harness import percentile, python_fleet, table, wait_until  # noqa: E402

ROUNDS = 10 if LONG else 2
# 300 streams in all.
STREAMS = {"grpc-go": 100, "grpcio": 80, "grpc-js": 80, "ticker": 40}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    dnsmasq = tool("dnsmasq")
    if os.geteuid() != 0:
        missing("root, which a DNS server on port 53 and mounts need,")
    names = Names(tmp_path_factory.mktemp("names"), dnsmasq)
    yield names
    names.stop()


@pytest.fixture
def replicas(binary, names):
    """Makes three replicas, of which none is started."""
    started = []

    def make(*options):
        port = free_port(ADDRESSES)
        started.extend(Replica(binary, address, port, *options) for address in ADDRESSES)
        return started, port

    yield make
    for replica in started:
        if replica.server and replica.server.process.poll() is None:
            replica.server.check_and_stop()


class Clients:
    """The fleets of one test."""

    def __init__(self, names, binary, root, port):
        self.names, self.binary, self.root, self.port = names, binary, root, port
        self.config = root / "docs" / "service-config.json"
        self.fleets = []

    def start(self, kind, streams, channels, **options):
        names, config, port = self.names, self.config, self.port
        if kind == "grpc-go":
            fleet = go_fleet(names, tool("replicas-go", TOOLS / "bin"), config, port, streams, channels, **options)
        elif kind == "grpcio":
            fleet = python_fleet(names, TOOLS / "replicas" / "proto.binpb", config, port, streams, channels)
        elif kind == "grpc-js":
            folder = TOOLS / "replicas" / "node"
            if not folder.exists():
                missing("grpc-js (tests/interop/prepare with npm)")
            fleet = node_fleet(names, folder, self.root / "proto", config, port, streams, channels)
        else:
            fleet = own_fleet(names, tool("replicas-go", TOOLS / "bin"), self.binary, port, streams)
        self.fleets.append(fleet)
        return fleet

    def reports(self):
        found = {fleet.name: fleet.report() for fleet in self.fleets}
        self.fleets = []
        print("\n" + table(found))
        return found


@pytest.fixture
def clients(names, binary, root):
    made = []

    def make(port):
        made.append(Clients(names, binary, root, port))
        return made[-1]

    yield make
    for each in made:
        for fleet in each.fleets:
            fleet.kill()


def streams_of(replica):
    """How many streams of ticks a replica has."""
    with urllib.request.urlopen(f"http://{replica.server.admin}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(int(count) for count in re.findall(r"^ticker_streams\{.*\} (\d+)$", text, re.MULTILINE))


def spread(replicas):
    return [streams_of(replica) if replica.server else 0 for replica in replicas]


@pytest.mark.parametrize("kind", ["grpc-go", "grpcio", "grpc-js"])
def test_streams_are_spread_evenly_over_the_replicas(replicas, names, clients, kind):
    three, port = replicas()
    for replica in three:
        replica.start()
    names.set(ADDRESSES)
    fleets = clients(port)
    # One channel: its balancer spreads the streams.
    fleets.start(kind, 60, 1)
    wait_until(lambda: sum(spread(three)) == 60, 20, lambda: f"{spread(three)}")
    # A fair share is 20.
    assert min(spread(three)) >= 15, spread(three)
    (report,) = fleets.reports().values()
    assert report["missing"] == report["twice"] == report["out_of_order"] == 0
    assert not report["codes"] and not report["failed_calls"]


@pytest.mark.timeout(120)
def test_a_replica_that_is_added_gets_its_share_within_the_stream_age(replicas, names, clients):
    three, port = replicas("--max-stream-age", "5s", "--max-connection-age", "5s")
    for replica in three[:2]:
        replica.start()
    names.set(ADDRESSES[:2])
    fleets = clients(port)
    for kind in ("grpc-go", "grpcio", "grpc-js"):
        fleets.start(kind, 30, 10)
    wait_until(lambda: sum(spread(three)) == 90, 20, lambda: f"{spread(three)}")
    three[2].start()
    names.set(ADDRESSES)
    began = time.monotonic()
    # A third of 90 is 30.
    wait_until(lambda: spread(three)[2] >= 20, 20, lambda: f"{spread(three)}")
    took = time.monotonic() - began
    print(f"\nthe new replica had {spread(three)} after {took:.1f} s")
    # 5.5 s is the age with its jitter; then the client backs off and resolves the name.
    assert took < 5.5 * 2
    for name, report in fleets.reports().items():
        assert report["missing"] == report["twice"] == report["out_of_order"] == 0, name
        assert set(report["codes"]) == {"UNAVAILABLE"} or set(report["codes"]) == {"Unavailable"}, name
        assert not report["failed_calls"], name


@pytest.mark.timeout(600)
def test_rolling_restarts_of_all_replicas_lose_nothing(replicas, names, clients):
    three, port = replicas()
    for replica in three:
        replica.start()
    names.set(ADDRESSES)
    fleets = clients(port)
    for kind, streams in STREAMS.items():
        fleets.start(kind, streams, 10)
    fleets.start("grpc-go", 10, 5, contract="gogen")
    wait_until(lambda: sum(spread(three)) == 310, 60, lambda: f"{spread(three)}")
    drains = []
    for _ in range(ROUNDS):
        for replica in three:
            drains.append(replica.restart())
            # As `minReadySeconds` does: the clients have time to come back.
            time.sleep(2)
    print(f"\n{ROUNDS} rounds, a drain took {percentile(drains, 0.5):.2f} s, at most {max(drains):.2f} s")
    time.sleep(2)
    reports = fleets.reports()
    gogen = reports.pop("grpc-go, gogen")
    assert set(gogen["codes"]) == {"Unavailable"}, gogen["codes"]
    for name, report in reports.items():
        assert report["ticks"] > report["streams"] * 100, name
        lost = {key: report[key] for key in ("missing", "twice", "out_of_order")}
        assert lost == {"missing": 0, "twice": 0, "out_of_order": 0}, name
        assert report["silences"], f"{name} was never without a stream"
        assert not report.get("failed_calls"), name
    # The aim for our own client. Of the others it is in the table.
    assert percentile(reports["ticker"]["silences"], 0.99) <= 250

"""Several servers, and servers that stop."""

import signal
import socket
import ssl
import time

import grpc
import pytest

import raw_http2
from grpc_client import GOGEN, HEALTH, V1, Client, past_ticks, record
from processes import Process


def test_two_servers_with_one_seed_send_the_same_ticks(serve):
    first = serve("--seed", "11")
    time.sleep(0.3)
    second = serve("--seed", "11")
    one, two = record([first.address, second.address], ["RELIANCE", "TCS", "BTC-USD"])
    assert one.tape_id == two.tape_id
    assert len(one.ticks.keys() & two.ticks.keys()) > 30
    assert all(one.ticks[key] == two.ticks[key] for key in one.ticks.keys() & two.ticks.keys())


def test_two_servers_with_two_seeds_send_other_ticks(serve):
    with Client(serve("--seed", "11").address) as one, Client(serve("--seed", "12").address) as two:
        assert one.call(V1, "GetTape").tape_id != two.call(V1, "GetTape").tape_id
        for symbol in ["RELIANCE", "TCS", "BTC-USD"]:
            ours, theirs = (past_ticks(client, symbol, startSequence=1_000, endSequence=1_100) for client in (one, two))
            assert [tick.sequence for tick in ours] == [tick.sequence for tick in theirs] == list(range(1_000, 1_100))
            # Messages of two clients are of two classes, which never equal each other.
            assert not any(mine.SerializeToString() == other.SerializeToString() for mine, other in zip(ours, theirs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_streams_with_unavailable_and_the_process_within_two_seconds(serve, number):
    server = serve()
    clients = [Client(server.address) for _ in range(4)]
    streams = []
    for client in clients:
        for _ in range(4):
            stream = client.stream(V1, "TickerStream")
            stream.ask({"subscribe": {"symbols": ["RELIANCE", "TCS"]}})
            streams.append(stream)
        stream = client.stream(GOGEN, "TickerStream")
        stream.send({"symbol": "TCS"})
        stream.next()
        streams.append(stream)
    assert len(streams) == 20

    code, seconds = server.terminate(number)
    assert code == 0
    assert seconds < 2
    for stream in streams:
        assert stream.end()[0] == grpc.StatusCode.UNAVAILABLE
    retry = [dict(stream.call.trailing_metadata()).get("grpc-status-details-bin", b"") for stream in streams]
    assert all(b"google.rpc.RetryInfo" in details for details in retry), "the client is told when to come back"
    for client in clients:
        client.channel.close()


def test_a_server_that_stops_says_so_first(serve):
    server = serve()
    with Client(server.address) as client, client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        health = client.call(HEALTH, "Watch", {"service": V1})
        assert next(health).status == 1, "SERVING"
        server.send(signal.SIGTERM)
        stream.until("draining", 2)
        assert stream.end()[0] == grpc.StatusCode.UNAVAILABLE


def test_connections_that_say_nothing_do_not_delay_the_end(serve):
    server = serve()
    host, port = server.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))) as half:
        # One peer that never says a word, and one that sends its preface and stops.
        half.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        code, seconds = server.terminate()
    assert code == 0
    assert seconds < 2


def test_readers_that_never_read_are_cut_at_the_deadline(serve):
    server = serve("--drain-deadline", "1s")
    everything = b"\x0a\x01*"
    peers = [raw_http2.connect(server.address) for _ in range(5)]
    for peer, connection in peers:
        for stream in range(1, 20, 2):
            body = bytes(4) + bytes([len(everything)]) + everything
            raw_http2.begin(connection, server.address, f"/{V1}/Watch", body, stream=stream)
        peer.sendall(connection.data_to_send())
    # Until their windows are full.
    time.sleep(1)
    code, seconds = server.terminate()
    assert code == 0
    assert seconds < 2
    for peer, _ in peers:
        peer.close()


def test_a_port_that_is_taken_fails_with_its_cause(binary, server):
    with Process([binary, "serve", "--listen", server.address]) as second:
        assert second.wait(5) == 1
        assert server.address in "".join(second.stderr)
        assert "panicked" not in "".join(second.stderr)


def test_a_tls_handshake_is_refused_at_once(server):
    host, port = server.address.rsplit(":", 1)
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=5) as plain, pytest.raises((ssl.SSLError, OSError)):
        ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    assert time.monotonic() - start < 2


def test_the_log_tells_the_start_and_why_the_server_stops(serve):
    server = serve()
    server.terminate()
    started, stopping, stopped = server.stderr
    assert f" INFO ticker::server: serving address={server.address} " in started
    assert stopping.endswith(" INFO ticker: stopping reason=SIGTERM\n")
    assert stopped.endswith(" INFO ticker::server: stopped streams_cut=0\n")


def test_a_symbol_that_trades_once_an_hour_has_a_first_price_at_once(serve, tmp_path):
    instruments = tmp_path / "quiet.toml"
    instruments.write_text('[[instrument]]\nsymbol = "QUIET"\nreference_price = 10\ntick_interval = "1h"\n')
    server = serve("--instruments", str(instruments))
    with Client(server.address) as client, client.stream(V1, "TickerStream") as stream:
        start = time.monotonic()
        stream.ask({"subscribe": {"symbols": ["QUIET"]}})
        assert stream.next().tick.snapshot
        assert time.monotonic() - start < 1


def test_replicas_invent_the_same_instrument_for_any_symbol(serve):
    one, two = record([serve("--any-symbol").address, serve("--any-symbol").address], ["MADE-UP"], 10)
    common = one.ticks.keys() & two.ticks.keys()
    assert len(common) > 3
    assert all(one.ticks[key] == two.ticks[key] for key in common)

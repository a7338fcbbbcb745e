"""Watches of several servers that die, drain, freeze or play another tape."""

import signal
import time

import grpc
import pytest

from ticker_client import (
    CallError,
    Connected,
    Disconnected,
    ForeignTapeError,
    Refused,
    Tick,
    _aio,
    _attempts,
    _sync,
)


def test_a_killed_server_costs_no_tick(serve, watch):
    servers = [serve() for _ in range(3)]
    watching = watch(*servers)
    for server in [*servers, *servers]:
        watching.wait_for_ticks(10)
        assert watching.of(Connected)[-1].endpoint == server.endpoint
        server.end(signal.SIGKILL)
        watching.wait_for_ticks(10)
        server.start()
    watching.check_sequences()
    assert len(watching.of(Connected)) == 7


def test_a_draining_server_is_left_at_once(serve, watch):
    servers = [serve(), serve()]
    watching = watch(*servers)
    watching.wait_for_ticks(5)
    servers[0].end(signal.SIGTERM)
    watching.wait_for_ticks(5)
    watching.check_sequences()
    (left,) = watching.of(Disconnected)
    assert left == Disconnected(servers[0].endpoint, "it is draining")
    at = watching.events.index(left)
    assert watching.events[at + 1].endpoint == servers[1].endpoint
    assert watching.times[at + 1] - watching.times[at] < 2


def test_a_server_that_is_back_is_used_at_once(serve, watch):
    servers = [serve(), serve()]
    watching = watch(*servers)
    watching.wait_for_ticks(5)
    servers[0].end()
    # Long enough for a backoff of a second.
    watching.wait_for_ticks(50)
    servers[0].start()
    began = time.monotonic()
    servers[1].end(signal.SIGTERM)
    watching.wait_for(lambda _: watching.of(Connected)[-1].endpoint == servers[0].endpoint)
    assert time.monotonic() - began < 2
    watching.check_sequences()


def test_the_only_server_restarts(serve, watch):
    server = serve()
    watching = watch(server)
    for number in (signal.SIGKILL, signal.SIGTERM):
        watching.wait_for_ticks(5)
        server.end(number)
        attempts = len(watching.of(Disconnected))
        time.sleep(3)
        assert len(watching.of(Disconnected)) - attempts < 25, "there is a backoff"
        server.start()
        started = time.monotonic()
        watching.wait_for_ticks(30)
        assert time.monotonic() - started < 3.5
    watching.check_sequences()


def test_all_servers_are_away_for_a_while(serve, watch):
    servers = [serve(), serve()]
    watching = watch(*servers)
    watching.wait_for_ticks(5)
    for server in servers:
        server.end()
    time.sleep(1)
    servers[1].start()
    watching.wait_for_ticks(30)
    watching.check_sequences()


def test_a_frozen_server_is_left_by_keepalive(serve, watch, monkeypatch):
    # Otherwise both notice it at the same time.
    for module in (_attempts, _sync, _aio):
        monkeypatch.setattr(module, "SILENCE", 60)
    servers = [serve(), serve()]
    watching = watch(*servers)
    watching.wait_for_ticks(5)
    servers[0].send(signal.SIGSTOP)
    watching.wait_for(lambda _: watching.of(Disconnected), 20)
    assert "ping timeout" in watching.of(Disconnected)[0].reason
    watching.wait_for_ticks(20)
    servers[0].send(signal.SIGCONT)
    watching.check_sequences()
    assert watching.of(Connected)[-1].endpoint == servers[1].endpoint


def test_a_silent_stream_is_left(serve, watch, monkeypatch):
    for module in (_attempts, _sync, _aio):
        monkeypatch.setattr(module, "SILENCE", 0.5)
    servers = [serve(), serve()]
    # The stream waits for a tick of the future, and a heartbeat comes after 5 s.
    watching = watch(
        *servers,
        symbols="TEST.SQUARE",
        after_sequence={"TEST.SQUARE": int(time.time() * 10) + 9000},
    )
    watching.wait_for(lambda _: len(watching.of(Connected)) >= 2)
    # The second server is left as well, half a second later.
    left = watching.of(Disconnected)[0]
    assert left == Disconnected(servers[0].endpoint, "no message for 0.5 s")
    assert 0.4 < watching.times[watching.events.index(left)] - watching.times[0] < 1.5
    assert watching.of(Connected)[1].endpoint == servers[1].endpoint


def test_a_foreign_tape_is_skipped(serve, watch):
    servers = [serve(), serve("--seed", "2"), serve()]
    watching = watch(*servers)
    watching.wait_for_ticks(5)
    servers[0].end()
    watching.wait_for_ticks(30)
    watching.check_sequences()
    assert [event.endpoint for event in watching.of(Connected)] == [
        servers[0].endpoint,
        servers[2].endpoint,
    ]


def test_a_watch_ends_when_no_endpoint_plays_its_tape(serve, watch):
    server = serve()
    watching = watch(server)
    watching.wait_for_ticks(5)
    (tape_id,) = {event.tape_id for event in watching.of(Connected)}
    server.end()
    server.arguments = ("--seed", "2")
    server.start()
    with pytest.raises(ForeignTapeError, match=f"no endpoint plays the tape {tape_id} any more"):
        watching.wait_for(lambda _: False)


def test_an_endpoint_that_is_down_at_the_start_costs_next_to_nothing(serve, watch):
    servers = [serve(), serve()]
    servers[0].end()
    watching = watch(*servers)
    watching.wait_for_ticks(1)
    first = next(at for at, event in enumerate(watching.events) if isinstance(event, Tick))
    assert watching.times[first] - watching.times[0] < 2
    assert watching.events[0].endpoint == servers[0].endpoint
    assert watching.events[0].reason.startswith("UNAVAILABLE: ")


def test_refused_symbols_are_reported_once(serve, watch):
    servers = [serve(), serve()]
    watching = watch(*servers, symbols=["TEST.SQUARE", "RELAINCE", "not well formed"])
    watching.wait_for_ticks(5)
    servers[0].end()
    watching.wait_for_ticks(5)
    refused = {event.symbol: event.message for event in watching.of(Refused)}
    assert len(watching.of(Refused)) == 2
    assert "did you mean RELIANCE?" in refused["RELAINCE"]


def test_a_watch_of_refused_symbols_alone_fails(server, watch):
    watching = watch(server, symbols=["NOPE"])
    with pytest.raises(CallError, match=r"INVALID_ARGUMENT: .*NOPE") as failure:
        watching.wait_for(lambda _: False)
    assert failure.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [event.symbol for event in watching.events] == ["NOPE"]

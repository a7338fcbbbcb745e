"""Limits of what one caller holds, however many connections it has, and of failed authentications."""

import time
from datetime import timedelta

import grpc
import pytest
from google.protobuf import message_factory

from grpc_client import GOGEN, V1, codes, failure
from security.conftest import SecureServer
from security.relay import Relay
from security.test_tokens import INVALID

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
TOO_MANY_STREAMS = "the caller has {} streams, which is as many as it may: end some, or put more symbols on each"
FULL = "the caller holds as many subscriptions as it may: unsubscribe from some"
TOO_MANY_CHANGES = "the caller changes too many subscriptions: at most 10 in a second; try again later"
TOO_MANY_FAILURES = "too many authentications of this address have failed: try again later, with a valid token"


@pytest.fixture(scope="module")
def limited(binary, issuer, token_flags):
    """A server with small limits, for all tests of this file; each has callers of its own."""
    limits = ["--max-streams-per-caller", "3", "--max-symbols-per-caller", "5", "--max-changes-per-caller", "10"]
    server = SecureServer(binary, issuer, *token_flags, *limits)
    yield server
    server.check_and_stop()


@pytest.fixture
def retry_delay(contract):
    """Reads google.rpc.RetryInfo from the details of an error."""

    def read(name):
        return message_factory.GetMessageClass(contract.FindMessageTypeByName(f"google.rpc.{name}"))

    def retry_delay(error):
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        status = read("Status").FromString(details)
        assert (status.code, status.message) == (error.code().value[0], error.details())
        infos = [detail for detail in status.details if detail.type_url.endswith("/google.rpc.RetryInfo")]
        assert len(infos) == 1, status
        return read("RetryInfo").FromString(infos[0].value).retry_delay.ToTimedelta()

    return retry_delay


@pytest.fixture
def exhausted(retry_delay):
    """Checks that a stream ends, or a call fails, for a limit that leaves room later."""

    def check(error, text):
        assert (error.code(), error.details()) == (EXHAUSTED, text)
        assert retry_delay(error) == timedelta(seconds=1)

    return check


def ended(stream):
    """The call of a stream that has ended."""
    stream.end()
    return stream.call


def open_streams(client, count, symbol="TCS"):
    """Streams that have their symbol."""
    streams = [client.stream(V1, "TickerStream") for _ in range(count)]
    for stream in streams:
        assert codes(stream.ask({"subscribe": {"symbols": [symbol]}})) == ["SUBSCRIBED"]
    return streams


def close(streams):
    for stream in streams:
        stream.__exit__()


@pytest.mark.parametrize(("claims", "most"), [({}, 3), ({"max_streams": 2}, 2), ({"max_streams": 50}, 3)])
def test_two_connections_of_a_subject_share_its_streams(claims, most, limited, issuer, connect, exhausted):
    subject = f"streams-{claims}"
    one, two = (connect(limited, issuer.token(subject=subject, **claims)) for _ in range(2))
    streams = open_streams(one, most - 1) + open_streams(two, 1)
    for client in (one, two):
        exhausted(ended(client.stream(V1, "TickerStream")), TOO_MANY_STREAMS.format(most))
        exhausted(ended(client.stream(GOGEN, "TickerStream")), TOO_MANY_STREAMS.format(most))
        with pytest.raises(grpc.RpcError) as error:
            next(client.call(V1, "Watch", {"symbols": ["TCS"]}, timeout=5))
        exhausted(error.value, TOO_MANY_STREAMS.format(most))
        assert client.call(V1, "GetTape", timeout=5).tape_id, "calls are no streams"
    # Another caller has its own.
    others = open_streams(connect(limited, issuer.token(subject=f"other-{subject}")), 1)
    for stream in streams + others:
        stream.until("tick")
    close(streams[:1])
    deadline = time.monotonic() + 2
    while True:
        with two.stream(V1, "TickerStream") as again:
            again.send({"ping": {}})
            if again.responses.get(timeout=5):
                break
        assert time.monotonic() < deadline, "the stream that ended still counts"
    close(streams + others)


@pytest.mark.parametrize(("claims", "most"), [({}, 5), ({"max_symbols": 3}, 3)])
def test_two_connections_of_a_subject_share_its_symbols(claims, most, limited, issuer, connect, exhausted):
    one, two = (connect(limited, issuer.token(subject=f"symbols-{claims}", **claims)) for _ in range(2))
    with one.stream(V1, "TickerStream") as first, two.stream(V1, "TickerStream") as second:
        assert set(codes(first.ask({"subscribe": {"symbols": ["TCS", "INFY"]}}))) == {"SUBSCRIBED"}
        symbols = ["RELIANCE", "NSE:TCS", "NSE:INFY", "BSE:TCS"]
        result = second.ask({"subscribe": {"symbols": symbols}})
        room = most - 2
        assert codes(result) == ["SUBSCRIBED"] * room + ["LIMIT_EXCEEDED"] * (len(symbols) - room)
        assert {status.message for status in result.statuses[room:]} == {FULL}
        # gogen has no status of a symbol, so its stream ends.
        with one.stream(GOGEN, "TickerStream") as gogen:
            gogen.send({"symbol": "TCS"})
            exhausted(ended(gogen), FULL)
        first.until("tick")
        second.until("tick")
        assert codes(first.ask({"unsubscribe": {"symbols": ["INFY"]}})) == ["UNSUBSCRIBED"]
        assert codes(second.ask({"subscribe": {"symbols": ["BSE:TCS"]}})) == ["SUBSCRIBED"]


def test_all_instruments_count_each_and_end_a_stream_that_has_no_room(limited, issuer, connect, exhausted):
    with connect(limited, issuer.token(subject="all")).stream(V1, "TickerStream") as stream:
        stream.send({"subscribe": {"symbols": ["*"]}})
        exhausted(ended(stream), FULL)
    # There are as many as it may have of those that it sees.
    allowed = issuer.token("ticker:read:NSE:*", subject="some")
    with connect(limited, allowed).stream(V1, "TickerStream") as stream:
        assert codes(stream.ask({"subscribe": {"symbols": ["*"]}})) == ["SUBSCRIBED"]
        stream.until("tick")


def test_a_replay_counts_ten_times(limited, issuer, connect, exhausted):
    replay = {"symbols": ["TCS"], "startTime": "2026-01-01T00:00:00Z"}
    watch = connect(limited, issuer.token(subject="replay")).call(V1, "Watch", replay, timeout=5)
    with pytest.raises(grpc.RpcError) as error:
        list(watch)
    exhausted(error.value, FULL)


def test_changes_are_limited_in_a_second_and_not_in_number(limited, issuer, connect, exhausted):
    client = connect(limited, issuer.token(subject="changes"))
    with client.stream(V1, "TickerStream") as stream:
        began, changes = time.monotonic(), 0
        # There is room for one more every 100 ms, and on a slow machine gogen may find it: then try again.
        for _ in range(20):
            while codes(found := stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["SUBSCRIBED"]:
                changes += 1
                # Twice as many as in a second may come at once.
                assert changes <= 20 + 10 * (time.monotonic() - began) + 1
            assert changes >= 20
            assert (codes(found), found.statuses[0].message) == (["LIMIT_EXCEEDED"], TOO_MANY_CHANGES)
            with client.stream(GOGEN, "TickerStream") as gogen:
                gogen.send({"symbol": "TCS"})
                if gogen.responses.get(timeout=5) is None:
                    break
        exhausted(gogen.call, TOO_MANY_CHANGES)
        stream.until("tick")
        # To let go is always allowed.
        assert codes(stream.ask({"unsubscribe": {"symbols": ["TCS"]}})) == ["UNSUBSCRIBED"]
        time.sleep(0.5)
        assert codes(stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["SUBSCRIBED"]


def test_after_many_failures_an_address_is_served_what_was_verified_before(guarded, issuer, connect, exhausted):
    with Relay(guarded.address) as relay:
        verified, bad = issuer.token(subject="verified"), issuer.token(aud="another")
        client = connect(relay, verified)
        with client.stream(V1, "TickerStream") as stream:
            stream.ask({"subscribe": {"symbols": ["TCS"]}})
            stranger = connect(relay, bad)

            def guess():
                return failure(lambda: stranger.call(V1, "GetTape", timeout=5))

            began, refused = time.monotonic(), 0
            # There is room for one more every second, and on a slow machine a newcomer may find it: then try again.
            for turn in range(5):
                while (answer := guess()) != (EXHAUSTED, TOO_MANY_FAILURES):
                    assert answer == (grpc.StatusCode.UNAUTHENTICATED, INVALID)
                    refused += 1
                assert 20 <= refused <= 21 + time.monotonic() - began
                # Not even a sound token is verified now, and no cryptography done.
                newcomer = connect(relay, issuer.token(subject=f"newcomer-{turn}"))
                try:
                    newcomer.call(V1, "GetTape", timeout=5)
                    continue
                except grpc.RpcError as error:
                    exhausted(error, TOO_MANY_FAILURES)
                with newcomer.stream(GOGEN, "TickerStream") as gogen:
                    gogen.send({"symbol": "TCS"})
                    if gogen.responses.get(timeout=5) is None:
                        exhausted(gogen.call, TOO_MANY_FAILURES)
                        break
            else:
                pytest.fail("each newcomer was verified")
            # What was verified goes on: the stream, and new calls of the same token.
            stream.until("tick")
            assert client.call(V1, "GetTape", timeout=5).tape_id
            with connect(relay, verified).stream(GOGEN, "TickerStream") as again:
                again.send({"symbol": "TCS"})
                assert again.next().symbol == "TCS"
            # Other addresses are not concerned.
            with Relay(guarded.address) as other:
                assert connect(other, issuer.token(subject="elsewhere")).call(V1, "GetTape", timeout=5).tape_id
            # A second later there is room for one.
            deadline = time.monotonic() + 5
            while True:
                try:
                    assert newcomer.call(V1, "GetTape", timeout=5).tape_id
                    break
                except grpc.RpcError:
                    assert time.monotonic() < deadline, "a sound token is still not verified"
                    time.sleep(0.2)
    assert 'limit="failed_authentications"' in guarded.log

"""Tokens that expire while their streams are open, and fresh ones that take their place. The leeway of the server is 30 s, so
these tokens have expired already, and are accepted for a few seconds more."""

import time

import grpc
import pytest
from google.protobuf import message_factory
from h2.events import DataReceived
from h2.settings import SettingCodes

import raw_http2
from grpc_client import GOGEN, V1, codes, failure
from security.test_tokens import EXPIRED, INVALID

LEEWAY = 30


def authenticate(stream, token):
    """The result of a fresh token."""
    return stream.ask({"requestId": 5, "authenticate": {"token": token}}, "authentication_result")


def wait_until(moment):
    """Waits until a time on the wall."""
    time.sleep(max(0, moment - time.time()))


@pytest.mark.usefixtures("healthy")
def test_streams_end_half_a_minute_after_their_token_and_v1_is_told_before(guarded, issuer, connect):
    expires = int(time.time()) - 25
    client = connect(guarded, issuer.token(exp=expires))
    subscribe = {"subscribe": {"symbols": ["TCS"]}}
    with client.stream(V1, "TickerStream") as v1, client.stream(GOGEN, "TickerStream") as gogen:
        v1.send(subscribe)
        gogen.send({"symbol": "TCS"})
        watch = client.call(V1, "Watch", {"symbols": ["TCS"]})
        notice = v1.until("token_expiring", 2)[1]
        assert notice.expire_time.seconds == expires
        assert v1.end(8) == (grpc.StatusCode.UNAUTHENTICATED, EXPIRED)
        assert expires + LEEWAY - 0.1 <= time.time() < expires + LEEWAY + 1
        assert gogen.end(1) == (grpc.StatusCode.UNAUTHENTICATED, EXPIRED)
        events = []
        with pytest.raises(grpc.RpcError) as ended:
            events.extend(response.WhichOneof("event") for response in watch)
        assert (ended.value.code(), ended.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, EXPIRED)
    # That the token was accepted before makes it no better.
    assert failure(lambda: client.call(V1, "GetTape", timeout=5)) == (grpc.StatusCode.UNAUTHENTICATED, EXPIRED)


def test_a_watch_is_told_that_its_token_expires(guarded, issuer, connect):
    client = connect(guarded, issuer.token(life=-20))
    watch = client.call(V1, "Watch", {"symbols": ["TCS"]}, timeout=5)
    events = [next(watch).WhichOneof("event") for _ in range(5)]
    assert events[0] == "subscription_result", "the contract says that it is the first message"
    assert events.count("token_expiring") == 1
    watch.cancel()


def test_the_notice_comes_between_messages_however_slowly_they_are_read(guarded, issuer, contract):
    request = message_factory.GetMessageClass(contract.FindMessageTypeByName("ticker.v1.TickerStreamRequest"))
    response = message_factory.GetMessageClass(contract.FindMessageTypeByName("ticker.v1.TickerStreamResponse"))
    # The result of the first request takes several frames. The notice is due before the second of them can be sent.
    subscribe = request(subscribe={"symbols": [f"NO-SUCH-SYMBOL-{number}" for number in range(1_000)]})
    authenticate = request(authenticate={"token": issuer.token(life=-20)})
    body = b"".join(
        b"\0" + len(sent).to_bytes(4, "big") + sent for sent in (one.SerializeToString() for one in (subscribe, authenticate))
    )
    peer, connection = raw_http2.connect(guarded.address)
    connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 16_500})
    headers = [("authorization", f"Bearer {issuer.token()}")]
    with peer:
        raw_http2.begin(connection, guarded.address, f"/{V1}/TickerStream", body, headers, end_stream=False)
        received, events, kinds = b"", [], []
        while "token_expiring" not in kinds:
            peer.sendall(connection.data_to_send())
            for event in connection.receive_data(peer.recv(65_536)):
                if isinstance(event, DataReceived):
                    received += event.data
                    # So late that the notice is due.
                    time.sleep(0.05)
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            while len(received) >= 5 and len(received) >= (end := 5 + int.from_bytes(received[1:5], "big")):
                assert received[0] == 0, f"no message begins here: {received[:20]}"
                events.append(response.FromString(received[5:end]))
                kinds.append(events[-1].WhichOneof("event"))
                received = received[end:]
    assert kinds[:2] == ["subscription_result", "authentication_result"]
    assert len(events[0].subscription_result.statuses) == 1_000


def test_a_short_life_is_told_of_at_its_half(guarded, issuer, connect):
    before = time.time()
    expires = int(before) + 5
    with connect(guarded, issuer.token(exp=expires)).stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        stream.until("token_expiring")
        assert -0.1 < time.time() - (before + expires) / 2 < 1


@pytest.mark.usefixtures("healthy")
def test_a_fresh_token_keeps_the_stream_without_a_gap(guarded, issuer, connect):
    expires = int(time.time()) - 25
    fresh = int(time.time()) + 300
    with connect(guarded, issuer.token(exp=expires)).stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"], "delivery": "DELIVERY_EVERY_TICK"}})
        first = stream.until("tick")[1].sequence
        stream.send({"requestId": 5, "authenticate": {"token": issuer.token(exp=fresh)}})
        passed, result = stream.until("authentication_result")
        assert (result.request_id, result.authenticated, result.message) == (5, True, "")
        assert result.expire_time.seconds == fresh
        seen = [first] + [response.tick.sequence for response in passed if response.WhichOneof("event") == "tick"]
        while time.time() < expires + LEEWAY + 1:
            seen.append(stream.until("tick")[1].sequence)
        assert len(seen) > 5 and seen == list(range(first, seen[-1] + 1))
        assert codes(stream.ask({"subscribe": {"symbols": ["INFY"]}})) == ["SUBSCRIBED"]


def test_a_fresh_token_of_another_subject_is_refused_and_the_stream_keeps_the_one_it_has(guarded, issuer, connect):
    expires = int(time.time()) - 25
    with connect(guarded, issuer.token(exp=expires)).stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        for bad in [
            issuer.token(subject="mallory", scope="ticker:read ticker:admin"),
            issuer.token(aud="another"),
            "garbage",
            "",
        ]:
            result = authenticate(stream, bad)
            assert (result.authenticated, result.message) == (False, INVALID)
            assert result.expire_time.seconds == expires
        result = authenticate(stream, issuer.token(life=-40))
        assert (result.authenticated, result.message) == (False, EXPIRED)
        stream.until("tick")
        assert stream.end(7) == (grpc.StatusCode.UNAUTHENTICATED, EXPIRED)
    issuer.check_log(guarded.log)


def test_a_token_that_expires_no_later_is_told_of_once(guarded, issuer, connect):
    token = issuer.token(life=-20)
    with connect(guarded, token).stream(V1, "TickerStream") as stream:
        stream.send({"subscribe": {"symbols": ["TCS"]}})
        stream.until("token_expiring", 2)
        # A client whose file has no fresh token yet sends the one that it has: it must not be asked again at once.
        assert authenticate(stream, token).authenticated
        until, passed = time.monotonic() + 1, []
        while time.monotonic() < until:
            passed.append(stream.next().WhichOneof("event"))
        assert passed.count("token_expiring") == 0


@pytest.mark.parametrize("symbols", [["INFY", "NSE:TCS", "TCS"], ["*"]])
def test_symbols_that_a_fresh_token_does_not_allow_are_removed(symbols, guarded, issuer, connect):
    with connect(guarded, issuer.token()).stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": symbols}})
        for _ in range(20):
            stream.until("tick")
        assert authenticate(stream, issuer.token("ticker:read:TCS ticker:read:BSE:*")).authenticated
        result = stream.until("subscription_result")[1]
        assert result.request_id == 5
        kept = {"TCS", "BSE:TCS"} if symbols == ["*"] else {"TCS"}
        removed = {"INFY", "NSE:INFY", "NSE:TCS", "RELIANCE"} if symbols == ["*"] else {"INFY", "NSE:TCS"}
        assert {status.symbol for status in result.statuses} == removed
        assert set(codes(result)) == {"UNSUBSCRIBED"}
        assert [status.symbol for status in result.statuses] == sorted(removed)
        seen = []
        # One of them may be silent for a while.
        while len(seen) < 20 or set(seen) < kept:
            seen.append(stream.until("tick")[1].symbol)
        assert set(seen) == kept
        assert codes(stream.ask({"subscribe": {"symbols": ["INFY"]}})) == ["UNKNOWN_SYMBOL"]
        # A token that allows as much as the first one adds nothing, and lets symbols be subscribed again.
        assert authenticate(stream, issuer.token()).authenticated
        assert codes(stream.ask({"subscribe": {"symbols": ["INFY"]}})) == ["SUBSCRIBED"]


def test_a_fresh_token_that_allows_nothing_leaves_a_silent_stream(guarded, issuer, connect):
    with connect(guarded, issuer.token()).stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        assert authenticate(stream, issuer.token("")).authenticated
        assert codes(stream.until("subscription_result")[1]) == ["UNSUBSCRIBED"]
        # Heartbeats come every 500 ms.
        passed, _ = stream.until("heartbeat")
        assert passed == []
        assert codes(stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["UNKNOWN_SYMBOL"]


def test_a_server_without_tokens_takes_none(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        result = authenticate(stream, "a.b.c")
        assert (result.authenticated, result.message) == (False, "this server verifies no tokens")
        stream.until("tick")

"""What callers see: their symbols and nothing else, so that a symbol that is hidden cannot be told from one that does not exist."""

import time

import grpc
import pytest

from grpc_client import GOGEN, V1, codes, failure, past_ticks
from security.conftest import INSTRUMENTS

FORBIDDEN = grpc.StatusCode.PERMISSION_DENIED
# A symbol that a reader of TCS may not see, and two of the same length that do not exist.
HIDDEN, UNKNOWN = "RELIANCE", ["RELIANCX", "NOTATALL"]


@pytest.fixture
def reader(guarded, issuer, connect):
    """A client that may see TCS."""
    return connect(guarded, issuer.token("ticker:read:TCS"))


def listed(client):
    """The symbols that a client sees, by each way to list them."""
    instruments = client.call(V1, "ListInstruments", timeout=5).instruments
    listed = [instrument.symbol for instrument in instruments if instrument.kind != "test"]
    assert [tick.symbol for tick in client.call(V1, "GetLastPrices", timeout=5).ticks] == listed
    with client.stream(V1, "TickerStream") as stream:
        assert codes(stream.ask({"subscribe": {"symbols": ["*"]}})) == ["SUBSCRIBED"]
        ticks = {stream.until("tick")[1].symbol for _ in range(6 * len(INSTRUMENTS))}
    assert sorted(ticks) == listed
    return listed


@pytest.mark.parametrize(
    ("claims", "symbols"),
    [
        ({"scope": "ticker:read"}, INSTRUMENTS),
        ({"scope": "ticker:read:*"}, INSTRUMENTS),
        ({"scope": "ticker:read:TCS"}, ["TCS"]),
        ({"scope": "ticker:read:NSE:*"}, ["NSE:INFY", "NSE:TCS"]),
        ({"scope": "ticker:read:N* ticker:read:BSE:TCS"}, ["BSE:TCS", "NSE:INFY", "NSE:TCS"]),
        ({"scope": ["ticker:read:TCS", "ticker:read:INFY"]}, ["INFY", "TCS"]),
        ({"scope": "", "roles": ["analyst"]}, ["NSE:INFY", "NSE:TCS", "TCS"]),
        (
            {"scope": "ticker:read:INFY", "roles": ["nobody", "unknown", "analyst"]},
            ["INFY", "NSE:INFY", "NSE:TCS", "TCS"],
        ),
    ],
)
@pytest.mark.usefixtures("healthy")
def test_a_caller_sees_the_symbols_of_its_scopes_and_roles(claims, symbols, guarded, issuer, connect):
    assert listed(connect(guarded, issuer.token(**claims))) == symbols


def test_a_page_has_only_what_the_caller_sees(guarded, issuer, connect):
    client = connect(guarded, issuer.token("ticker:read:NSE:* ticker:read:TCS"))
    pages, token = [], ""
    while True:
        page = client.call(V1, "ListInstruments", {"pageSize": 1, "pageToken": token}, timeout=5)
        pages.append([instrument.symbol for instrument in page.instruments])
        token = page.next_page_token
        if not token:
            break
    assert pages == [["NSE:INFY"], ["NSE:TCS"], ["TCS"]]


def ask_gogen(client, symbol):
    with client.stream(GOGEN, "TickerStream") as stream:
        stream.send({"symbol": symbol})
        code, details = stream.end()
        return code, details, sorted(stream.call.trailing_metadata())


def ask_call(method, **request):
    def ask(client, symbol):
        try:
            answer = client.call(V1, method, {"symbol": symbol, **request}, timeout=5)
        except grpc.RpcError as error:
            return error.code(), error.details(), sorted(error.trailing_metadata())
        raise AssertionError(f"{method} answers {answer}")

    return ask


def ask_statuses(client, symbol):
    answer = client.call(V1, "GetLastPrices", {"symbols": [symbol, "TCS"]}, timeout=5)
    return [tick.symbol for tick in answer.ticks], [str(status) for status in answer.statuses]


def ask_stream(verb, **options):
    def ask(client, symbol):
        with client.stream(V1, "TickerStream") as stream:
            # So that the stream lives on.
            stream.ask({"subscribe": {"symbols": ["TCS"]}})
            result = stream.ask({verb: {"symbols": [symbol, "TCS"], **options}})
            return [str(status) for status in result.statuses]

    return ask


def ask_resume(client, symbol):
    with client.stream(V1, "TickerStream") as stream:
        result = stream.ask({"subscribe": {"symbols": ["*"], "afterSequence": {symbol: 5}}})
        return [str(status) for status in result.statuses]


def ask_watch(replay):
    def ask(client, symbol):
        start = {"startTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))} if replay else {}
        watch = client.call(V1, "Watch", {"symbols": [symbol], **start}, timeout=5)
        result = next(watch).subscription_result
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        return str(result.statuses), ended.value.code(), ended.value.details(), sorted(ended.value.trailing_metadata())

    return ask


WAYS = {
    "gogen": ask_gogen,
    "subscribe": ask_stream("subscribe"),
    "subscribe with quotes": ask_stream("subscribe", detail="DETAIL_QUOTE"),
    "set_subscriptions": ask_stream("setSubscriptions"),
    "unsubscribe": ask_stream("unsubscribe"),
    "resume": ask_resume,
    "Watch": ask_watch(replay=False),
    "a replay": ask_watch(replay=True),
    "ListTicks": ask_call("ListTicks"),
    "ListTicks of the future": ask_call("ListTicks", startSequence=10**12),
    "ListCandles": ask_call("ListCandles", interval="60s", startTime="2026-01-01T00:00:00Z"),
    "DigestTicks": ask_call("DigestTicks", startSequence=1, endSequence=2),
    "GetLastPrices": ask_statuses,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("healthy")
def test_a_hidden_symbol_is_answered_as_one_that_does_not_exist(way, reader):
    ask = WAYS[way]
    hidden = masked(ask(reader, HIDDEN), HIDDEN)
    for unknown in UNKNOWN:
        assert masked(ask(reader, unknown), unknown) == hidden
    # Also where a suggestion comes close.
    assert masked(ask(reader, "TCSX"), "TCSX") == masked(ask(reader, "TCSY"), "TCSY")
    assert masked(ask(reader, "BSE:TCS"), "BSE:TCS") == masked(ask(reader, "XSE:TCS"), "XSE:TCS")


def masked(answer, symbol):
    """An answer without the name that was asked for, also in binary details."""
    return repr(answer).replace(symbol, "?")


def test_a_hidden_symbol_is_unknown_and_not_suggested(guarded, issuer, reader, connect):
    text = "unknown symbol RELIANCE; list the symbols with `ticker list` or the RPC ListInstruments"
    assert ask_gogen(reader, HIDDEN)[:2] == (grpc.StatusCode.NOT_FOUND, text)
    assert failure(lambda: reader.call(V1, "ListTicks", {"symbol": "RELIANC"}, timeout=5))[1] == text.replace(
        "CE;", "C;"
    )
    assert (
        failure(lambda: reader.call(V1, "ListTicks", {"symbol": "TCSS"}, timeout=5))[1]
        == "unknown symbol TCSS; did you mean TCS?"
    )
    everything = connect(guarded, issuer.token())
    suggested = "unknown symbol RELIANC; did you mean RELIANCE?"
    assert failure(lambda: everything.call(V1, "ListTicks", {"symbol": "RELIANC"}, timeout=5))[1] == suggested


def test_history_and_replays_of_a_visible_symbol_are_answered(reader):
    ticks = reader.call(V1, "ListTicks", {"symbol": "TCS", "newestFirst": True, "pageSize": 5}, timeout=5).ticks
    assert [tick.symbol for tick in ticks] == ["TCS"] * 5
    digest = {"symbol": "TCS", "startSequence": ticks[-1].sequence, "endSequence": ticks[0].sequence}
    assert len(reader.call(V1, "DigestTicks", digest, timeout=5).digest) == 32
    now = time.time()
    start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ago)) for ago in (20, 10))
    candles = reader.call(
        V1, "ListCandles", {"symbol": "TCS", "interval": "1s", "startTime": start, "endTime": end}, timeout=5
    )
    within = past_ticks(reader, "TCS", startTime=start, endTime=end)
    assert {candle.open_time.seconds for candle in candles.candles} == {tick.time.seconds for tick in within}
    replay = list(reader.call(V1, "Watch", {"symbols": ["*"], "startTime": start, "endTime": end}, timeout=5))
    assert [status.symbol for status in replay[0].subscription_result.statuses] == ["*"]
    assert [response.tick for response in replay if response.WhichOneof("event") == "tick"] == within


@pytest.mark.parametrize(
    "scope",
    ["", "openid", "ticker:publish ticker:admin", "ticker:readx", "TICKER:READ", "ticker:read:", "ticker:read:a b"],
)
def test_a_token_without_a_scope_to_read_is_denied(scope, guarded, issuer, connect):
    client = connect(guarded, issuer.token([scope] if "a b" in scope else scope))
    denied = FORBIDDEN, "the token does not allow this RPC: it needs the scope ticker:read"
    for service, method, requests in [
        (GOGEN, "TickerStream", [{"symbol": "TCS"}]),
        (V1, "TickerStream", [{"subscribe": {"symbols": ["TCS"]}}]),
        (V1, "Watch", {"symbols": ["TCS"]}),
        (V1, "ListInstruments", {}),
        (V1, "GetLastPrices", {}),
        (V1, "GetTape", {}),
        (V1, "ListTicks", {"symbol": "TCS"}),
        (V1, "ListCandles", {"symbol": "TCS", "interval": "60s", "startTime": "2026-01-01T00:00:00Z"}),
        (V1, "DigestTicks", {"symbol": "TCS"}),
    ]:
        assert failure(lambda: client.call(service, method, requests, timeout=5)) == denied, method


def test_publish_needs_its_scope(guarded, issuer, connect):
    def publish(scope):
        client = connect(guarded, issuer.token(scope))
        return failure(lambda: client.call(V1, "Publish", [{"symbol": "TCS"}], timeout=5))

    denied = FORBIDDEN, "the token does not allow this RPC: it needs the scope ticker:publish"
    assert publish("ticker:read") == publish("ticker:read ticker:admin") == denied
    assert publish("ticker:publish")[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert publish("ticker:publish:TCS")[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_the_seed_is_for_operators(guarded, issuer, connect, client):
    def seed(scope):
        return connect(guarded, issuer.token(scope)).call(V1, "GetTape", timeout=5).seed

    assert seed("ticker:read") == seed("ticker:read:TCS ticker:publish") == 0
    assert seed("ticker:read ticker:admin") == 7
    assert client.call(V1, "GetTape").seed == 7, "without tokens everybody is an operator"


def test_no_instrument_is_invented_for_a_hidden_symbol(serve_secure, files, issuer, connect):
    server = serve_secure("--auth-jwks", files / "jwks.json", "--any-symbol", "--max-invented-symbols", "1")
    client = connect(server, issuer.token("ticker:read:X*"))
    with client.stream(V1, "TickerStream") as stream:
        hidden = [f"A{number}" for number in range(100)]
        assert set(codes(stream.ask({"subscribe": {"symbols": hidden}}))) == {"UNKNOWN_SYMBOL"}
        assert codes(stream.ask({"subscribe": {"symbols": ["X1"]}})) == ["SUBSCRIBED"]
        assert codes(stream.ask({"subscribe": {"symbols": ["X2", "A1"]}})) == ["LIMIT_EXCEEDED", "UNKNOWN_SYMBOL"]

"""Server-sent events by `curl -N`: the messages of `Watch`, and a `Last-Event-ID` that resumes anywhere."""

import json
import random
import time
from urllib.parse import quote

import pytest

from grpc_client import V1, Client
from web import metrics
from web.events import Stream
from web.http1 import Connection, get, refused
from web.proto3_json import parsed
from web.ticks import END, START, check_every_tick


@pytest.fixture
def watch(curl):
    """Opens streams that are cut at the end of the test: `watch(server, "symbols=TCS")`."""
    streams = []

    def open_stream(server, query, last_id=None, **options):
        streams.append(Stream(curl, server.address, query, last_id, **options))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.__exit__()


@pytest.fixture
def ticks_of(contract):
    """The ticks of events as messages, each event checked."""

    def convert(events):
        messages = [
            parsed(contract, "ticker.v1.WatchResponse", event.data) for event in events if event.kind == "message"
        ]
        return [message.tick for message in messages if message.WhichOneof("event") == "tick"]

    return convert


def test_a_stream_begins_with_the_result_then_the_last_price_then_every_tick(server, client, contract, watch, ticks_of):
    stream = watch(server, "symbols=RELIANCE,M%26M,NOSUCH&delivery=EVERY_TICK")
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in stream.headers["cache-control"] or "no-store" in stream.headers["cache-control"]
    events = stream.bytes(9_000)
    while sum(event.data.get("tick", {}).get("symbol") == "M&M" for event in events) < 15:
        events += stream.bytes(1_000)
    first = parsed(contract, "ticker.v1.WatchResponse", events[0].data)
    assert [(status.symbol, status.code) for status in first.subscription_result.statuses] == [
        ("RELIANCE", 1),
        ("M&M", 1),
        ("NOSUCH", 4),
    ]
    ticks = ticks_of(events)
    assert {tick.symbol for tick in ticks if tick.snapshot} == {"RELIANCE", "M&M"}
    assert min(check_every_tick(client, ticks).values()) > 10
    assert all(event.id for event in events if "tick" in event.data)


def test_a_star_is_every_instrument_but_those_for_tests(server, client, watch, ticks_of):
    instruments = client.call(V1, "ListInstruments").instruments
    symbols = {instrument.symbol for instrument in instruments if instrument.kind != "test"}
    ticks = ticks_of(watch(server, "symbols=*").bytes(100_000))
    assert {tick.symbol for tick in ticks} == symbols


def test_the_options_are_those_of_watch(server, contract, watch, ticks_of):
    stream = watch(server, "symbols=TCS&minInterval=0.5s&detail=QUOTE")
    result = parsed(contract, "ticker.v1.WatchResponse", stream.until("subscriptionResult")[0].data)
    (status,) = result.subscription_result.statuses
    assert (status.min_interval.nanos, status.detail) == (500_000_000, 2)
    (tick,) = ticks_of(stream.until("tick")[-1:])
    assert tick.HasField("quote") and tick.quote.bid_nanos < tick.quote.ask_nanos


def test_a_quiet_stream_sends_heartbeats(serve, watch, tmp_path):
    instruments = tmp_path / "quiet.toml"
    instruments.write_text('[[instrument]]\nsymbol = "QUIET"\nreference_price = 10\ntick_interval = "1h"\n')
    stream = watch(serve("--instruments", str(instruments), "--heartbeat-interval", "200ms"), "symbols=QUIET")
    assert stream.until("heartbeat")[-1].data["heartbeat"].keys() == {"time", "tapeId"}


def test_http_2_carries_events_too(server, client, watch, ticks_of):
    stream = watch(server, "symbols=TCS&delivery=EVERY_TICK", options=["--http2-prior-knowledge"])
    assert check_every_tick(client, ticks_of(stream.bytes(3_000)))["TCS"] > 3


@pytest.mark.parametrize(("symbols", "most"), [("RELIANCE,TCS,BTC-USD", 6_000), ("*", 100_000)])
def test_a_stream_that_is_cut_at_any_byte_resumes_at_another_replica(serve, watch, contract, ticks_of, symbols, most):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"cuts of seed {seed}")
    cuts = random.Random(seed)
    replicas = [serve("--seed", "7"), serve("--seed", "7")]
    query = f"symbols={symbols}&delivery=EVERY_TICK"
    stream = watch(replicas[0], query)
    events = stream.until("tick")
    turn = 0
    while turn < 10 or sum("tick" in event.data for event in events) <= 50:
        events += stream.bytes(cuts.randrange(most))
        # As EventSource does, also when nothing came since the last cut.
        stream.__exit__()
        stream = watch(replicas[turn % 2], query, stream.last_id)
        assert stream.status == 200, stream.body()
        turn += 1
    # Up to the present.
    events += stream.until("caughtUp") + stream.until("tick")
    ticks = ticks_of(events)
    assert not any(tick.snapshot for tick in ticks[len(ticks) // 2 :]), "a resumed stream has no snapshot"
    with Client(replicas[0].address, contract=contract) as client:
        found = check_every_tick(client, ticks)
    assert len(found) == (60 if symbols == "*" else 3)
    assert len(ticks) > 50


def test_no_tick_of_thousands_of_instruments_is_missed(serve, watch, ticks_of, tmp_path):
    # Not every event has an id then, and a client that comes back is sent some ticks again.
    instruments = tmp_path / "many.toml"
    instruments.write_text(
        "".join(
            f'[[instrument]]\nsymbol = "INSTRUMENT-{n:04}"\nreference_price = 100\ntick_interval = "1s"\n'
            for n in range(2_000)
        )
    )
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"cuts of seed {seed}")
    cuts = random.Random(seed)
    server = serve("--instruments", str(instruments))
    query = "symbols=*&delivery=EVERY_TICK"
    stream = watch(server, query)
    events = []
    while not stream.last_id:
        events += stream.bytes(10_000)
    for _ in range(6):
        events += stream.bytes(cuts.randrange(200_000))
        stream.__exit__()
        stream = watch(server, query, stream.last_id)
        assert stream.status == 200, stream.body()
    newest = {}
    while len(newest) < 2_000:
        for tick in ticks_of(events):
            expected = newest.get(tick.symbol, tick.sequence - 1) + 1
            assert tick.sequence <= expected, f"{tick.symbol}: {tick.sequence} instead of {expected}"
            newest[tick.symbol] = max(newest.get(tick.symbol, 0), tick.sequence)
        events = stream.bytes(100_000)


def test_what_is_left_out_is_counted_across_a_cut(serve, watch, ticks_of, busy):
    replicas = [serve("--instruments", busy), serve("--instruments", busy)]
    query = "symbols=RELIANCE,TCS&minInterval=0.3s"
    events, last_id = [], None
    for turn in range(4):
        stream = watch(replicas[turn % 2], query, last_id)
        events += stream.bytes(2_000)
        stream.__exit__()
        last_id = stream.last_id
    ticks = ticks_of(events)
    for symbol in ("RELIANCE", "TCS"):
        found = [tick for tick in ticks if tick.symbol == symbol]
        assert len(found) > 8
        for earlier, later in zip(found, found[1:]):
            assert later.sequence == earlier.sequence + 1 + later.conflated
    assert sum(tick.conflated for tick in ticks) > 10


def test_a_last_event_id_of_another_tape_is_refused(server, serve, curl, watch):
    foreign = watch(serve("--seed", "8"), "symbols=TCS").until("tick")[-1].id
    message = refused(
        get(server.address, "/v1/watch?symbols=TCS", [("Last-Event-ID", foreign)]), 400, "INVALID_ARGUMENT"
    )
    assert "tape" in message


@pytest.mark.parametrize(
    "last_id", ["garbage", "0", "-1", "TCS", "{}", "a" * 10_000, "TCS:99999999999999999999999", "ÿ"]
)
def test_a_last_event_id_of_nobody_is_refused(server, last_id):
    message = refused(
        get(server.address, "/v1/watch?symbols=TCS", [("Last-Event-ID", last_id)]), 400, "INVALID_ARGUMENT"
    )
    assert "Last-Event-ID" in message


def test_an_id_with_any_byte_changed_never_breaks_the_server(server, watch):
    stream = watch(server, "symbols=TCS,RELIANCE&delivery=EVERY_TICK")
    good = stream.until("tick")[-1].id
    for at in range(len(good)):
        for changed in (good[:at] + "~" + good[at + 1 :], good[:at] + good[at + 1 :], good[: at + 1] + good[at:]):
            answer = status_of(server, changed)
            # What is still an id of this tape may resume.
            assert answer in (200, 204, 400), f"{answer} for {changed}"


def status_of(server, last_id):
    """The status of a resume, of which nothing more is read."""
    with Connection(server.address) as connection:
        connection.request("GET", "/v1/watch?symbols=TCS,RELIANCE&delivery=EVERY_TICK", [("Last-Event-ID", last_id)])
        return connection.head()[0]


def test_an_empty_last_event_id_is_none(server, client, watch, ticks_of):
    # EventSource sends no header then; others may.
    stream = watch(server, "symbols=TCS&delivery=EVERY_TICK", options=["--header", "Last-Event-ID;"])
    assert stream.status == 200
    assert ticks_of(stream.until("tick"))[0].snapshot


@pytest.mark.parametrize("speed", ["", "&speed=200"])
def test_a_replay_sends_every_tick_of_its_time_and_does_not_begin_again(server, client, watch, ticks_of, speed):
    query = f"symbols=RELIANCE,TCS&startTime={START}&endTime={END}{speed}"
    stream = watch(server, query)
    events = list(stream)
    assert stream.process.wait() == 0, "curl"
    ticks = ticks_of(events)
    for symbol in ("RELIANCE", "TCS"):
        page = client.call(V1, "ListTicks", {"symbol": symbol, "startTime": START, "endTime": END, "pageSize": 10_000})
        assert [tick for tick in ticks if tick.symbol == symbol] == list(page.ticks)
    # EventSource connects again when a stream ends, and stops at 204.
    assert watch(server, query, stream.last_id).status == 204


def test_a_replay_that_is_cut_goes_on_where_it_was(serve, watch, contract, ticks_of):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"cuts of seed {seed}")
    cuts = random.Random(seed)
    replicas = [serve("--seed", "7"), serve("--seed", "7")]
    query = f"symbols=RELIANCE,TCS,BTC-USD&startTime={START}&endTime={END}"
    events, last_id = [], None
    for turn in range(6):
        stream = watch(replicas[turn % 2], query, last_id)
        events += stream.bytes(cuts.randrange(2_000, 40_000))
        stream.__exit__()
        last_id = stream.last_id
    stream = watch(replicas[0], query, last_id)
    events += list(stream)
    ticks = ticks_of(events)
    with Client(replicas[0].address, contract=contract) as client:
        for symbol in ("RELIANCE", "TCS", "BTC-USD"):
            page = client.call(
                V1, "ListTicks", {"symbol": symbol, "startTime": START, "endTime": END, "pageSize": 10_000}
            )
            assert [tick for tick in ticks if tick.symbol == symbol] == list(page.ticks)


def test_a_server_that_drains_says_so_and_another_one_goes_on(serve, watch, contract, ticks_of):
    replicas = [serve("--seed", "7", "--drain-spread", "200ms"), serve("--seed", "7")]
    query = "symbols=RELIANCE,TCS&delivery=EVERY_TICK"
    stream = watch(replicas[0], query)
    events = stream.until("tick")
    code, seconds = replicas[0].terminate()
    assert code == 0 and seconds < 2
    events += list(stream)
    assert {"draining": {}} in [event.data for event in events]
    assert events[-1].kind == "end"
    error = events[-1].data["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    resumed = watch(replicas[1], query, stream.last_id)
    events += resumed.until("caughtUp") + resumed.until("tick")
    with Client(replicas[1].address, contract=contract) as client:
        check_every_tick(client, ticks_of(events))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "symbols"),
        ("symbols=", "symbols"),
        ("symbols=NOSUCH", "NOSUCH"),
        ("symbols=NOSUCH,not%20a%20symbol", "NOSUCH"),
        ("symbols=TCS&delivery=SOMETIMES", "delivery"),
        ("symbols=TCS&delivery=EVERY_TICK&minInterval=1s", ""),
        ("symbols=TCS&minInterval=-1s", ""),
        ("symbols=TCS&minInterval=soon", "minInterval"),
        ("symbols=TCS&detail=ALL", "detail"),
        ("symbols=TCS&startTime=yesterday", "startTime"),
        (f"symbols=TCS&endTime={END}", ""),
        (f"symbols=TCS&startTime={END}&endTime={START}", ""),
        (f"symbols=TCS&startTime={START}&speed=-1", "speed"),
        (f"symbols=TCS&startTime={START}&speed=NaN", "speed"),
        (f"symbols=TCS&startTime={START}&speed=fast", "speed"),
        ("symbols=TCS&speed=10", "speed"),
        ("symbols=TCS&tapeId=another", "tape"),
        ("symbols=TCS&detail=LTP&detail=QUOTE", "detail"),
        ("symbols=TCS&heartbeat=1s", "heartbeat"),
    ],
)
def test_a_request_that_cannot_be_served_gets_a_status_and_no_stream(server, query, words):
    message = refused(get(server.address, f"/v1/watch?{query}"), 400, "INVALID_ARGUMENT")
    assert words in message


def test_a_watch_of_this_tape_by_its_id_is_served(server, client, watch):
    tape_id = client.call(V1, "GetTape").tape_id
    assert watch(server, f"symbols=TCS&tapeId={quote(tape_id)}").status == 200


def test_a_stream_that_is_cut_ends_on_the_server(serve, watch):
    server = serve("--seed", "7")
    replay = "symbols=*&startTime=2020-01-01T00:00:00Z"
    streams = [
        watch(server, "symbols=*"),
        watch(server, replay),
        watch(server, replay, options=["--http2-prior-knowledge"]),
    ]
    for stream in streams:
        stream.until("tick")
    metrics.wait_for_streams(server, 3)
    for stream in streams:
        stream.__exit__()
    metrics.wait_for_streams(server, 0)


def test_a_stream_too_many_gets_a_status(serve, watch):
    server = serve("--max-streams-per-caller", "2")
    streams = [watch(server, "symbols=TCS") for _ in range(2)]
    for stream in streams:
        stream.until("tick")
    refused(get(server.address, "/v1/watch?symbols=TCS"), 429, "RESOURCE_EXHAUSTED")
    streams[0].__exit__()
    metrics.wait_for_streams(server, 1)
    assert watch(server, "symbols=TCS").until("tick")


def test_a_stream_ends_at_its_age_and_resumes(serve, watch, contract, ticks_of):
    server = serve("--seed", "7", "--max-stream-age", "1s")
    query = "symbols=TCS&delivery=EVERY_TICK"
    start = time.monotonic()
    stream = watch(server, query)
    events = list(stream)
    assert time.monotonic() - start < 3
    assert events[-1].kind == "end", json.dumps(events[-1].data)
    before = len(ticks_of(events))
    # In a lull of the market a stream reaches its age without a tick.
    while len(ticks_of(events)) == before:
        stream = watch(server, query, stream.last_id)
        events += list(stream)
    with Client(server.address, contract=contract) as client:
        check_every_tick(client, ticks_of(events))

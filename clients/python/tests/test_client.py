"""`Client` and `AsyncClient` against a server."""

import asyncio
import inspect
import signal
import sys
import threading
import time
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest

from ticker_client import (
    AsyncClient,
    CallError,
    CaughtUp,
    Client,
    Connected,
    Quote,
    Tick,
    contract,
)

START = "2026-11-20T09:15:00Z"


class Blocking:
    """`AsyncClient` with the calls of `Client`, so that one test is for both."""

    def __init__(self, *arguments, **options):
        self._runner = asyncio.new_event_loop()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            result = method(*arguments, **options)
            if inspect.isasyncgen(result):
                return self._iterate(result)
            return self._runner.run_until_complete(result)

        return call

    def _iterate(self, events):
        try:
            while True:
                yield self._runner.run_until_complete(anext(events))
        except StopAsyncIteration:
            return
        finally:
            self._runner.run_until_complete(events.aclose())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self._runner.run_until_complete(self._runner.shutdown_asyncgens())
        self._runner.close()


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def connect(request):
    return request.param


@pytest.fixture
def client(connect, server):
    with connect(server.endpoint) as client:
        yield client


def test_the_tape(client):
    tape = client.tape()
    assert (len(tape.tape_id), tape.kind, tape.speed, tape.seed) == (32, "simulated", 1.0, 1)
    assert abs(tape.time.timestamp() - time.time()) < 5


def test_a_watch_begins_with_the_last_prices_and_goes_on_live(client):
    events = client.watch(["RELIANCE", "TCS"], quotes=True)
    first, *ticks = [next(events) for _ in range(10)]
    match first:
        case Connected(endpoint, tape_id):
            assert (endpoint, len(tape_id)) == (first.endpoint, 32)
    before = {}
    for tick in ticks:
        # The first tick of each symbol is its last price.
        assert tick.snapshot == (tick.symbol not in before)
        match tick:
            case Tick("RELIANCE" | "TCS", _, ltp, ltp_nanos, quote=Quote() as quote):
                assert ltp == ltp_nanos / 1e9
                # A trade is at the bid or the ask that stood before it.
                if last := before.get(tick.symbol):
                    assert ltp in (last.bid, last.ask)
                before[tick.symbol] = quote
                assert quote.low_nanos <= ltp_nanos <= quote.high_nanos
            case _:
                pytest.fail(f"{tick}")
        assert str(tick.ltp_decimal) == f"{ltp_nanos // 10**9}.{ltp_nanos % 10**9:09}"
        assert isinstance(tick.ltp_decimal, Decimal)
        assert abs(tick.time.timestamp() - tick.time_ns / 1e9) < 1e-5
    assert before.keys() == {"RELIANCE", "TCS"}
    events.close()


def test_a_watch_may_begin_after_a_sequence(client):
    last = client.call(
        contract.GET_LAST_PRICES, contract.GetLastPricesRequest(symbols=["TCS"])
    ).ticks[0]
    after = last.sequence - 100
    events = client.watch("TCS", after_sequence={"TCS": after}, tape_id=client.tape().tape_id)
    next(events)
    ticks = [next(events) for _ in range(100)]
    assert [tick.sequence for tick in ticks] == list(range(after + 1, last.sequence + 1))
    while not isinstance(event := next(events), CaughtUp):
        pass
    assert event.sequence >= last.sequence
    events.close()


def test_a_watch_without_every_tick_counts_what_it_left_out(client):
    events = client.watch("TCS", every_tick=False)
    next(events)
    sequence = None
    for _ in range(3):
        tick = next(events)
        assert sequence is None or tick.sequence == sequence + tick.conflated + 1
        sequence = tick.sequence
    events.close()


def test_a_watch_ends_with_its_timeout(client):
    began = time.monotonic()
    assert isinstance(list(client.watch("TCS", timeout=3))[-1], Tick)
    assert 2.9 < time.monotonic() - began < 3.8


def test_a_watch_of_a_server_that_is_down_ends_with_its_timeout(connect):
    began = time.monotonic()
    with connect("127.0.0.1:9") as client:
        reasons = [event.reason for event in client.watch("TCS", timeout=0.7)]
    assert time.monotonic() - began < 1.5
    assert all("Connection refused" in reason for reason in reasons)


def test_a_replay_has_every_tick_in_the_order_of_time(client):
    events = list(client.replay(["TCS", "BTC-USD"], START, "2026-11-20T09:16:00Z"))
    ticks = [event for event in events if isinstance(event, Tick)]
    counts = [
        len(client.ticks(symbol, start=START, end="2026-11-20T09:16:00Z"))
        for symbol in ("TCS", "BTC-USD")
    ]
    assert len(ticks) == len(events) - 1 == sum(counts)
    assert ticks == sorted(ticks, key=lambda tick: tick.time_ns)
    assert {tick.symbol for tick in ticks} == {"TCS", "BTC-USD"}


def test_a_replay_has_a_speed(client):
    began = time.monotonic()
    assert len(list(client.replay("TEST.SQUARE", START, "2026-11-20T09:15:10Z", speed=10))) == 101
    assert 0.8 < time.monotonic() - began < 3


def test_ticks_by_time_and_by_sequence_are_the_same(client):
    ticks = client.ticks("TCS", start=START, end="2026-11-20T09:45:00Z")
    assert len(ticks) > 10_000, "two pages"
    seconds = ticks.index.strftime("%H:%M:%S")
    assert (seconds[0], seconds[-1]) == ("09:15:00", "09:44:59")
    assert str(ticks.index.dtype) == "datetime64[ns, UTC]"
    assert ticks.index.name == "time"
    assert list(ticks.columns) == ["sequence", "ltp", "ltp_nanos", "quantity"]
    assert (ticks.sequence.diff().dropna() == 1).all()
    assert (ticks.ltp == ticks.ltp_nanos / 1e9).all()
    first = int(ticks.sequence.iloc[0])
    again = client.ticks("TCS", start_sequence=first, end_sequence=first + len(ticks))
    assert again.equals(ticks)
    part = client.ticks("TCS", start=ticks.index[5], end=ticks.index[8])
    assert part.equals(ticks[5:8])
    replayed = [
        (tick.sequence, tick.ltp_nanos, tick.time_ns, tick.quantity)
        for tick in client.replay("TCS", ticks.index[0], ticks.index[50])
        if isinstance(tick, Tick)
    ]
    columns = ticks.sequence, ticks.ltp_nanos, ticks.index.astype("int64"), ticks.quantity
    assert replayed == list(zip(*(column[:50] for column in columns), strict=True))


def test_no_ticks_are_a_frame_with_the_same_types(client):
    none = client.ticks("TCS", start=START, end=START)
    some = client.ticks("TCS", start=START, end="2026-11-20T09:15:01Z")
    assert len(none) == 0
    assert list(none.dtypes) == list(some.dtypes)
    assert none.index.dtype == some.index.dtype


def test_all_ticks_since_1970_are_not_asked_for_by_mistake(client):
    with pytest.raises(ValueError, match="set start or start_sequence"):
        client.ticks("TCS")


def test_candles_are_made_of_ticks(client):
    candles = client.candles("TCS", interval="1m", start=START, end="2026-11-20T09:20:00Z")
    assert candles.index.name == "open_time"
    assert str(candles.index.dtype) == "datetime64[ns, UTC]"
    assert list(candles.columns) == [
        *("open", "high", "low", "close", "volume", "tick_count"),
        "complete",
    ]
    ticks = client.ticks("TCS", start=START, end="2026-11-20T09:20:00Z")
    made = ticks.ltp.resample("1min").ohlc()
    made["volume"] = ticks.quantity.resample("1min").sum()
    assert candles[made.columns].eq(made).all(axis=None)
    assert candles.complete.all()
    same = client.candles(
        "TCS", interval=timedelta(minutes=1), start=START, end="2026-11-20T09:20:00Z"
    )
    assert same.equals(candles)


def test_all_pages_of_candles(client):
    candles = client.candles("TEST.SQUARE", interval="1s", start=START, end="2026-11-20T13:15:00Z")
    assert len(candles) == 4 * 3600
    assert (candles.index.to_series().diff().dropna() == timedelta(seconds=1)).all()


def test_the_pages_of_a_call(client):
    request = contract.ListTicksRequest(
        symbol="TCS", start_sequence=17951661000, end_sequence=17951661005, page_size=2
    )
    pages = [
        [tick.sequence % 10 for tick in page.ticks]
        for page in client.pages(contract.LIST_TICKS, request)
    ]
    assert pages == [[0, 1], [2, 3], [4]]


def test_a_candle_that_is_not_over_is_marked(client):
    now = client.tape().time
    candles = client.candles("TCS", interval="1h", start=now - timedelta(hours=2))
    assert list(candles.complete)[-1:] == [False]
    assert candles.complete[:-1].all()


def test_instruments_and_last_prices(client):
    instruments = client.instruments()
    market = instruments[instruments.kind != "test"]
    assert (len(instruments), len(market)) == (67, 60)
    assert instruments.loc["RELIANCE", "currency"] == "INR"
    assert instruments.loc["RELIANCE", "tick_interval"] == timedelta(milliseconds=100)
    assert instruments.loc["RELIANCE", "price_increment"] == 0.05
    prices = client.last_prices()
    assert list(prices.index) == list(market.index)
    assert list(prices.columns) == ["time", "sequence", "ltp", "ltp_nanos", "quantity"]
    # The longest lulls are hundreds of times as long as the mean interval.
    ages = client.tape().time - prices.time
    assert (ages < 300 * market.tick_interval).all()
    assert ages.min() > timedelta(seconds=-5)


def test_a_symbol_without_a_last_price_is_warned_of(client):
    with pytest.warns(UserWarning, match="did you mean RELIANCE") as caught:
        prices = client.last_prices(["TCS", "RELAINCE"])
    assert list(prices.index) == ["TCS"]
    if isinstance(client, Client):
        assert caught[0].filename == __file__


def test_errors_of_the_server(client):
    with pytest.raises(CallError, match="NOT_FOUND: unknown symbol NOPE") as failure:
        client.candles("NOPE", interval="1m", start=START)
    assert failure.value.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(CallError, match="INVALID_ARGUMENT"):
        client.candles("TCS", interval="7m", start=START)


def test_calls_fail_over(serve, connect):
    servers = [serve(), serve()]
    endpoints = [server.endpoint for server in servers]
    with connect(endpoints) as client:
        client.tape()
        servers[0].end()
        began = time.monotonic()
        client.tape()
        assert time.monotonic() - began < 2, "the retries of the service config take 0.8 s"
        began = time.monotonic()
        client.tape()
        assert time.monotonic() - began < 2
        servers[1].end()
        threading.Timer(1, servers[0].start).start()
        client.tape()
        servers[0].end()
        began = time.monotonic()
        with pytest.raises(CallError, match=r"UNAVAILABLE: .*Connection refused"):
            client.tape()
        assert 4 < time.monotonic() - began < 8


def test_calls_leave_a_frozen_server(serve, connect):
    servers = [serve(), serve()]
    with connect([server.endpoint for server in servers], timeout=1) as client:
        client.tape()
        servers[0].send(signal.SIGSTOP)
        client.tape()
        servers[0].send(signal.SIGCONT)


def test_close_ends_a_call_and_a_watch_of_other_threads(serve):
    server = serve()
    client = Client(server.endpoint)
    begun = threading.Event()

    def watch():
        for _ in client.watch("TCS"):
            begun.set()

    watching = threading.Thread(target=watch)
    watching.start()
    assert begun.wait(10)
    client.close()
    watching.join(5)
    assert not watching.is_alive()


def test_a_closed_client_says_so(connect):
    with connect("127.0.0.1:9") as client:
        client.close()
        with pytest.raises(ValueError, match="the client is closed"):
            client.watch("TCS")
        with pytest.raises(ValueError, match="the client is closed"):
            client.tape()


def test_two_threads_share_a_client(server):
    with Client(server.endpoint) as client:
        counts = []

        def count():
            counts.append(len(list(client.replay("TEST.SQUARE", START, "2026-11-20T09:20:00Z"))))

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [3001] * 4


def test_the_blocking_client_works_where_an_event_loop_runs_as_in_a_notebook(server):
    async def cell():
        with Client(server.endpoint) as client:
            ticks = client.ticks("TEST.SQUARE", start=START, end="2026-11-20T09:15:01Z")
            return len(ticks), next(client.watch("TCS"))

    count, event = asyncio.run(cell())
    assert count == 10
    assert isinstance(event, Connected)


def test_a_watch_that_is_dropped_leaves_no_thread(server):
    with Client(server.endpoint) as client:
        for event in client.watch("TCS"):
            if isinstance(event, Tick):
                break
        del event
        deadline = time.monotonic() + 2
        while any(thread.name == "ticker-client silence" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_task_that_watches_can_be_cancelled_at_any_time(server):
    async def main():
        async with AsyncClient(server.endpoint) as client:

            async def watch():
                # As fast as possible, so that messages are there when it is cancelled.
                async for _ in client.replay(["TCS", "RELIANCE"], START):
                    pass

            for number in range(50):
                task = asyncio.create_task(watch())
                await asyncio.sleep(0.001 * number)
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=5)
                assert done
                assert task.cancelled()
            return (await client.tape()).kind

    assert asyncio.run(main()) == "simulated"


@pytest.mark.parametrize(
    "endpoint", ["", "localhost", "http://localhost:1", "localhost:", "[::1]", "::1:1", "a b:1"]
)
def test_other_text_is_no_endpoint(endpoint):
    with pytest.raises(ValueError, match="is not of the form HOST:PORT"):
        Client(endpoint)
    with pytest.raises(ValueError, match="no endpoint"):
        Client([])


def test_endpoints_may_be_names(server):
    port = server.endpoint.rpartition(":")[2]
    with Client(f"does-not-exist.invalid:1,localhost:{port}") as client:
        assert client.tape().kind == "simulated"
        reasons = []
        for event in client.watch("TCS", timeout=10):
            reasons.append(getattr(event, "reason", event.endpoint))
            if isinstance(event, Connected):
                break
    assert "does-not-exist.invalid" in reasons[0]
    assert reasons[1] == f"localhost:{port}"


def test_without_pandas_the_error_says_what_to_install(monkeypatch, client):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'ticker-client\[pandas\]'"):
        client.instruments()

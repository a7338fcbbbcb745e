"""`Publisher` and `AsyncPublisher`, against a server with a feed and one that follows a script."""

import asyncio
import inspect
import signal
import threading
from concurrent import futures

import grpc
import pytest

from ticker_client import (
    AsyncClient,
    CallError,
    Client,
    Connected,
    Disconnected,
    NewTick,
    Receipt,
    _aio,
    _attempts,
    _sync,
    contract,
)
from ticker_client._proto.ticker.v1 import ticker_pb2 as pb


class Scripted(grpc.GenericRpcHandler):
    """A server that stores ticks as a feed does.

    Attributes:
        answers: How many answers each stream gets before it ends with UNAVAILABLE, after its last
            request was stored. Streams without an entry go on.
        stored: Symbol, number and price of each tick.
    """

    def __init__(self, *answers, is_silent=False):
        self.answers, self.is_silent = list(answers), is_silent
        self.stored, self.last, self.sizes, self.streams = [], {}, [], 0
        self.let_end = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, _):
        return grpc.stream_stream_rpc_method_handler(
            self._serve,
            contract.PublishStreamRequest.FromString,
            contract.PublishStreamResponse.SerializeToString,
        )

    def stop(self):
        self.let_end.set()
        self._server.stop(0).wait()

    def _serve(self, requests, context):
        self.streams += 1
        left = self.answers.pop(0) if self.answers else None
        for request in requests:
            answer = self._store(request)
            if self.is_silent and request.ticks:
                self.let_end.wait()
            if left == 0 and request.ticks:
                context.abort(grpc.StatusCode.UNAVAILABLE, "as the script says")
            if left is not None and request.ticks:
                left -= 1
            yield answer

    def _store(self, request):
        answer = pb.PublishStreamResponse(request_id=request.request_id)
        self.sizes.append(len(request.ticks))
        for index, tick in enumerate(request.ticks):
            number, of = request.first_number + index, (request.publisher_id, tick.symbol)
            if tick.price_nanos <= 0:
                answer.rejected += 1
                answer.rejected_ticks.add(
                    index=index,
                    symbol=tick.symbol,
                    code=pb.REJECTION_CODE_INVALID_PRICE,
                    message="a price is positive",
                )
            elif number <= self.last.get(of, 0):
                answer.duplicates += 1
            else:
                self.last[of] = number
                self.stored.append((tick.symbol, number, tick.price_nanos))
                answer.accepted += 1
        return answer


class Blocking:
    """`AsyncClient` and its publisher with the calls of `Client`, so that one test is for both."""

    def __init__(self, *arguments, **options):
        self._runner = asyncio.new_event_loop()
        self._wrapped = self._runner.run_until_complete(self._made(*arguments, **options))

    async def _made(self, *arguments, **options):
        return AsyncClient(*arguments, **options)

    def publisher(self, *arguments, **options):
        return Wrapped(self._runner, self._wrapped.publisher(*arguments, **options))

    def __getattr__(self, name):
        return getattr(Wrapped(self._runner, self._wrapped), name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run_until_complete(self._wrapped.close())
        self._runner.run_until_complete(self._runner.shutdown_asyncgens())
        self._runner.close()


class Wrapped:
    """Runs the coroutines of an object."""

    def __init__(self, runner, wrapped):
        self._runner, self._wrapped = runner, wrapped

    def __getattr__(self, name):
        found = getattr(self._wrapped, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *given, **options: self._runner.run_until_complete(found(*given, **options))

    def __enter__(self):
        self._runner.run_until_complete(self._wrapped.__aenter__())
        return self

    def __exit__(self, *failure):
        self._runner.run_until_complete(self._wrapped.__aexit__(*failure))


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def connect(request):
    return request.param


@pytest.fixture
def script():
    servers = []

    def start(*answers, **options):
        servers.append(Scripted(*answers, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def ticks(*prices, symbol="ACME"):
    return [NewTick(symbol, price, 1) for price in prices]


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_ticks_are_stored_with_exact_prices_when_publish_returns(serve, connect):
    server = serve("--feed", "memory")
    events = []
    with connect(server.endpoint) as client:
        with client.publisher("me", on_event=events.append) as publisher:
            receipt = publisher.publish([*ticks("101.5", "101.55"), *ticks(3, symbol="BOLT")])
            assert receipt == Receipt(1, 3, 3, 0, ())
        assert events == [Connected(server.endpoint), receipt]
        assert client.tape().kind == "feed"
        stored = {}
        for symbol in ("ACME", "BOLT"):
            page = client.call(contract.LIST_TICKS, contract.ListTicksRequest(symbol=symbol))
            stored[symbol] = [tick.ltp_nanos for tick in page.ticks]
        assert stored == {"ACME": [101_500_000_000, 101_550_000_000], "BOLT": [3_000_000_000]}


def test_what_is_published_again_under_the_same_numbers_is_a_duplicate(serve, connect):
    server = serve("--feed", "memory")
    with connect(server.endpoint) as client:
        for accepted in (2, 0):
            with client.publisher("me") as publisher:
                receipt = publisher.publish(ticks(1, 2), first_number=40)
                assert (receipt.accepted, receipt.duplicates) == (accepted, 2 - accepted)
        with client.publisher("me", first_number=41) as publisher:
            receipt = publisher.publish(ticks(2, 3))
            assert (receipt.accepted, receipt.duplicates) == (1, 1)


def test_a_bad_tick_is_rejected_and_the_others_stand(serve, connect):
    server = serve("--feed", "memory")
    with connect(server.endpoint) as client, client.publisher() as publisher:
        receipt = publisher.publish([*ticks(1), NewTick("no symbol", 1), *ticks(2)])
    assert receipt.accepted == 2
    (rejected,) = receipt.rejected
    assert (rejected.index, rejected.number, rejected.code) == (1, 2, "INVALID_SYMBOL")
    assert rejected.message


def test_a_server_without_a_feed_is_an_error(server, connect):
    with connect(server.endpoint) as client:
        publisher = client.publisher()
        for _ in range(2):
            with pytest.raises(CallError, match="FAILED_PRECONDITION") as failure:
                publisher.publish(ticks(1))
            assert failure.value.code is grpc.StatusCode.FAILED_PRECONDITION
        publisher.close()


def test_a_lost_stream_loses_no_tick_and_stores_none_twice(script, connect):
    # Each stream is lost after it has stored a request that it does not answer.
    servers = [script(0, 2, 5), script(1, 0, 3)]
    events = []
    # Both share what they store, as replicas of one feed would.
    servers[1].last, servers[1].stored = servers[0].last, servers[0].stored
    with (
        connect([server.endpoint for server in servers]) as client,
        client.publisher("me", on_event=events.append) as publisher,
    ):
        for number in range(1, 101):
            publisher.send(ticks(number))
    assert servers[0].stored == [("ACME", number, number * 10**9) for number in range(1, 101)]
    receipts = of_kind(events, Receipt)
    assert [receipt.first_number for receipt in receipts] == list(range(1, 101))
    assert sum(receipt.accepted + receipt.duplicates for receipt in receipts) == 100
    assert sum(receipt.duplicates for receipt in receipts) >= 5
    lost = of_kind(events, Disconnected)
    assert len(lost) == 6
    assert [event.endpoint for event in lost] == [server.endpoint for server in servers] * 3


def test_many_ticks_are_several_requests_and_one_receipt(script, connect):
    server = script()
    with connect(server.endpoint) as client, client.publisher() as publisher:
        prices = [1] * 2500
        prices[2100] = 0
        receipt = publisher.publish(ticks(*prices))
    assert (receipt.ticks, receipt.accepted) == (2500, 2499)
    assert [(tick.index, tick.number) for tick in receipt.rejected] == [(2100, 2101)]
    assert [size for size in server.sizes if size] == [1000, 1000, 500]


def test_a_silent_server_is_left(script, connect, monkeypatch):
    for module in (_attempts, _sync, _aio):
        monkeypatch.setattr(module, "SILENCE", 0.5)
    servers = [script(is_silent=True), script()]
    events = []
    with (
        connect([server.endpoint for server in servers]) as client,
        client.publisher(on_event=events.append) as publisher,
    ):
        assert publisher.publish(ticks(1)).accepted == 1
    assert of_kind(events, Disconnected) == [
        Disconnected(servers[0].endpoint, "no message for 0.5 s")
    ]
    assert servers[1].stored == [("ACME", 1, 10**9)]


def test_it_waits_while_32_requests_have_no_answer(script):
    server = script(is_silent=True)

    async def run():
        async with AsyncClient(server.endpoint) as client:
            publisher = client.publisher()
            for _ in range(32):
                await asyncio.wait_for(publisher.send(ticks(1)), 1)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(publisher.send(ticks(1)), 0.2)
            server.let_end.set()
            await asyncio.wait_for(publisher.flush(), 10)
            await publisher.publish(ticks(1))
            await publisher.close()

    asyncio.run(run())


def test_close_ends_a_publisher_that_waits(script):
    server = script(is_silent=True)
    with Client(server.endpoint) as client:
        publisher = client.publisher()
        publisher.send(ticks(1))
        threading.Timer(0.3, publisher.close).start()
        with pytest.raises(ValueError, match="is closed"):
            publisher.flush()
        with pytest.raises(ValueError, match="is closed"):
            publisher.publish(ticks(1))
        other = client.publisher()
        other.send(ticks(1))
        threading.Timer(0.3, client.close).start()
        with pytest.raises(ValueError, match="closed"):
            other.flush()
        other.close()


def test_several_threads_share_a_publisher(script):
    server = script()

    def work(symbol):
        for number in range(50):
            assert publisher.publish(ticks(number + 1, symbol=symbol)).accepted == 1

    with Client(server.endpoint) as client, client.publisher() as publisher:
        threads = [threading.Thread(target=work, args=(symbol,)) for symbol in "ABCD"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for symbol in "ABCD":
        found = [price // 10**9 for name, _, price in server.stored if name == symbol]
        assert found == list(range(1, 51))


def test_an_error_in_the_block_does_not_wait_for_answers(script, connect):
    server = script(is_silent=True)

    def run():
        with connect(server.endpoint) as client, client.publisher() as publisher:
            publisher.send(ticks(1))
            raise KeyError

    with pytest.raises(KeyError):
        run()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_with_a_directory_is_restarted_meanwhile(serve, connect, tmp_path, number):
    server = serve("--feed", str(tmp_path / "feed"), "--feed-sync", "20ms")
    accepted = 0
    with connect(server.endpoint) as client:
        with client.publisher("me") as publisher:
            for price in range(1, 61):
                if price % 20 == 0:
                    server.end(number)
                    threading.Timer(0.3, server.start).start()
                receipt = publisher.publish(ticks(price))
                accepted += receipt.accepted + receipt.duplicates
        page = client.call(contract.LIST_TICKS, contract.ListTicksRequest(symbol="ACME"))
    assert accepted == 60
    assert [tick.ltp_nanos // 10**9 for tick in page.ticks] == list(range(1, 61))


def test_a_symbol_of_many_letters_is_refused_before_it_is_sent(script, connect):
    with (
        connect(script().endpoint) as client,
        client.publisher() as publisher,
        pytest.raises(ValueError, match="over 128 KiB"),
    ):
        publisher.publish([NewTick("A" * 200_000, 1)])

"""Methods of both clients: unary calls, which fail over, and watches."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import grpc

from ._attempts import backoff
from ._base import ClientBase
from ._proto.ticker.v1 import ticker_pb2 as pb
from ._resume import Resume
from ._times import Time, timestamp
from .contract import WATCH, RequestT, ResponseT, Rpc
from .errors import CallError
from .events import Event

T = TypeVar("T")
# What `AsyncClient` returns. That of `Client` is a generator, too, but blocks.
Stream: TypeAlias = AsyncGenerator[T, None]

# The channel of an endpoint has retried UNAVAILABLE already, as its service config says.
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def call(client: ClientBase, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> ResponseT:
    """Makes a unary call of `ticker_client.contract`, which needs no pandas.

    The endpoint that answered last is asked first. Every endpoint is tried at least once.

    Raises:
        CallError: The endpoint refused the call, or no endpoint answered in time.
    """
    client._check_open()
    first, count = client._answered_last, len(client.endpoints)
    give_up = time.monotonic() + client._timeout
    pauses = backoff()
    for tried in itertools.count(1):
        endpoint = (first + tried - 1) % count
        method = client._channel(endpoint).unary_unary(
            rpc.path, rpc.request.SerializeToString, rpc.response.FromString
        )
        try:
            response: ResponseT = await client._wait(
                method,
                request,
                timeout=client._timeout,
                metadata=client._metadata(),
                # Another endpoint may be ready.
                wait_for_ready=False,
            )
        except grpc.RpcError as error:
            is_last = tried >= count and time.monotonic() >= give_up
            if error.code() not in RETRYABLE or is_last:
                name, details = client.endpoints[endpoint], error.details() or ""
                raise CallError(name, error.code(), details) from error
        else:
            client._answered_last = endpoint
            return response
        if tried >= count:
            await client._sleep(next(pauses))
    raise AssertionError("the loop has no end")


async def pages(
    client: ClientBase, rpc: Rpc[RequestT, ResponseT], request: RequestT
) -> Stream[ResponseT]:
    """Yields all pages of a call such as `LIST_TICKS`. It needs no pandas.

    Raises:
        CallError: As in `call`.
    """
    following: Any = request
    while True:
        page: Any = await call(client, rpc, following)
        yield page
        if not page.next_page_token:
            return
        following.page_token = page.next_page_token


def watch(
    client: ClientBase,
    symbols: str | Iterable[str],
    *,
    quotes: bool = False,
    every_tick: bool = True,
    after_sequence: Mapping[str, int] | None = None,
    tape_id: str = "",
    timeout: float | None = None,
) -> Stream[Event]:
    """Yields the last price of each symbol, then live ticks, without a loss across endpoints.

    Args:
        symbols: Symbols; `*` stands for all of them.
        quotes: Whether each tick has a `quote`: bid, ask and the figures of the day.
        every_tick: Whether a reader that falls behind gets every tick all the same. If not,
            it gets the newest tick of each symbol, and `conflated` counts the others.
        after_sequence: Symbol to last sequence seen: its ticks begin after this one.
        tape_id: The tape that `after_sequence` belongs to.
        timeout: When to end, in seconds. By default the watch goes on until `close`.

    Raises:
        CallError: The endpoint refused the watch, and another attempt cannot succeed.
        ForeignTapeError: Every endpoint plays another tape by now.
    """
    request = pb.WatchRequest(
        symbols=listed(symbols),
        delivery=pb.DELIVERY_EVERY_TICK if every_tick else pb.DELIVERY_LATEST,
        detail=pb.DETAIL_QUOTE if quotes else pb.DETAIL_LTP,
        after_sequence=after_sequence,
        tape_id=tape_id,
    )
    client._check_open()
    return _events(client, Resume(client.endpoints, request, timeout))


def replay(
    client: ClientBase,
    symbols: str | Iterable[str],
    start: Time,
    end: Time | None = None,
    *,
    speed: float = 0.0,
    quotes: bool = False,
) -> Stream[Event]:
    """Yields the ticks of the past in the order of their times, across all symbols.

    Args:
        symbols: Symbols; `*` stands for all of them.
        start: The first time, inclusive.
        end: The last time, exclusive. By default live ticks follow those of the past.
        speed: 1 is as it took place, 10 is ten times as fast, 0 is as fast as possible.
        quotes: As in `watch`.

    Raises:
        CallError, ForeignTapeError: As in `watch`.
    """
    request = pb.WatchRequest(
        symbols=listed(symbols),
        delivery=pb.DELIVERY_EVERY_TICK,
        detail=pb.DETAIL_QUOTE if quotes else pb.DETAIL_LTP,
        start_time=timestamp(start),
        end_time=timestamp(end),
        speed=speed,
    )
    client._check_open()
    return _events(client, Resume(client.endpoints, request))


async def close(client: ClientBase) -> None:
    """Ends all calls, watches and publishers, also those of other threads."""
    client._closed.set()
    for channel in [*client._channels.values(), *client._streaming]:
        await client._wait(channel.close)


def listed(symbols: str | Iterable[str]) -> list[str]:
    """The symbols, of which one may be given alone."""
    return [symbols] if isinstance(symbols, str) else list(symbols)


async def _events(client: ClientBase, resume: Resume) -> Stream[Event]:
    while not resume.over:
        endpoint, pause = resume.begin()
        await client._sleep(pause)
        # Not the channel of the calls: its backoff would delay the return to this endpoint.
        channel = client._connect(endpoint)
        client._streaming.add(channel)
        error = None
        try:
            if client._closed.is_set():
                return
            method = channel.unary_stream(
                WATCH.path, WATCH.request.SerializeToString, WATCH.response.FromString
            )
            stream = method(
                resume.request(),
                timeout=resume.remaining(),
                metadata=client._metadata(),
                wait_for_ready=False,
            )
            reader = client._reader(stream)
            while resume.leaving is None and (message := await reader.read()):
                for event in resume.receive(message):
                    yield event
        except grpc.RpcError as broken:
            error = broken
        except ValueError:
            # grpc raises it when `close` in another thread was faster.
            if not client._closed.is_set():
                raise
        finally:
            client._streaming.discard(channel)
            await client._wait(channel.close)
        if client._closed.is_set():
            return
        if end := resume.end(error):
            yield end

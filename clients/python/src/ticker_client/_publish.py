"""Methods of both publishers: ticks are sent again until they are answered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from ._attempts import Attempts
from ._base import ClientBase
from ._new_tick import NewTick, PublisherEvent, Receipt
from ._outbox import MOST_BYTES, MOST_REQUESTS, MOST_TICKS, Batch, Outbox, receipt
from ._proto.ticker.v1 import ticker_pb2 as pb
from .contract import PUBLISH_STREAM
from .events import Connected


class PublisherBase:
    """Sends ticks to a server with a feed, and outlives its connections.

    Every tick has a number. When a connection is lost, all ticks without an answer are sent again
    at the next endpoint, in their order and with their numbers. The server does not store again
    what it has stored, so no tick is lost or stored twice.

    It is a context manager. At its end it waits until every tick is answered, unless an error ends
    it.

    Attributes:
        publisher_id: The name under which the server remembers the numbers.
    """

    def __init__(
        self,
        client: ClientBase,
        publisher_id: str | None = None,
        *,
        first_number: int = 1,
        on_event: Callable[[PublisherEvent], None] | None = None,
    ) -> None:
        """Takes the client whose endpoints it publishes to; `client.publisher` calls this.

        Args:
            client: It may be closed when the publisher is.
            publisher_id: 1 to 64 letters, digits, dots, underscores and hyphens. By default a
                random one, so that every publisher is a new one. A fixed one is for ticks that
                always have the same numbers: they may be published again by a program that is
                started again. Two publishers that run at the same time must not share a name.
            first_number: The number of the first tick, from which on they rise by one.
            on_event: Is called with a `Receipt` for each call of `publish` and `send`, and with
                `Connected` and `Disconnected`. It must return soon. That of `Publisher` is called
                by a thread of the publisher.
        """
        client._check_open()
        self.publisher_id = secrets.token_hex(8) if publisher_id is None else publisher_id
        self._client = client
        self._on_event = on_event or (lambda _: None)
        self._outbox = Outbox(self.publisher_id, first_number)
        self._room = client._semaphore(MOST_REQUESTS)
        self._turn = client._semaphore(1)
        self._channel: Any = None
        self._running: Any = None
        self._is_closed = False

    def _begin(self) -> None:
        if self._running is None:
            self._running = self._client._start(_run(self))

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._client._closed.is_set()


async def publish(
    publisher: PublisherBase, ticks: Iterable[NewTick], *, first_number: int | None = None
) -> Receipt:
    """Sends ticks, and waits until the server has stored or rejected them.

    Args:
        ticks: Any number of them, those of one symbol in their order. A request has up to 1,000.
        first_number: The number of the first tick; the others count on from it. By default they
            count on from the last ones. The server takes a tick whose number is not above that of
            the last tick of its symbol for a duplicate.

    Raises:
        CallError: The endpoint refuses the publisher, and another attempt cannot succeed: it has
            no feed, for example. Nothing more can be published.
        ValueError: The client or the publisher is closed, or `first_number` is below 1.
    """
    batch = await _queue(publisher, ticks, first_number)
    result = receipt(batch) if batch.ticks == 0 else await publisher._client._outcome(batch.future)
    assert isinstance(result, Receipt)
    return result


async def send(
    publisher: PublisherBase, ticks: Iterable[NewTick], *, first_number: int | None = None
) -> None:
    """Sends ticks, and waits only while 32 requests have no answer.

    Their receipt comes to `on_event`.

    Args:
        ticks: As in `publish`.
        first_number: As in `publish`.

    Raises:
        CallError, ValueError: As in `publish`.
    """
    await _queue(publisher, ticks, first_number)


async def flush(publisher: PublisherBase) -> None:
    """Waits until the server has stored or rejected all ticks.

    Raises:
        CallError, ValueError: As in `publish`.
    """
    while batch := publisher._outbox.last():
        await publisher._client._outcome(batch.future)


async def close(publisher: PublisherBase) -> None:
    """Ends the publisher. Ticks without an answer may be stored or not."""
    publisher._is_closed = True
    if publisher._channel is not None:
        await publisher._client._wait(publisher._channel.close)
    if publisher._running is not None:
        await publisher._client._join(publisher._running)
    _fail(publisher, ValueError("the publisher is closed"))


async def _queue(
    publisher: PublisherBase, ticks: Iterable[NewTick], first_number: int | None
) -> Batch:
    messages = [tick.message for tick in ticks]
    requests = [messages[at : at + MOST_TICKS] for at in range(0, len(messages), MOST_TICKS)]
    for request in requests:
        # The server refuses a larger request whenever it is sent.
        if pb.PublishStreamRequest(ticks=request).ByteSize() > MOST_BYTES - 256:
            raise ValueError("a request is over 128 KiB: a symbol has at most 32 characters")
    publisher._begin()
    outbox, wait = publisher._outbox, publisher._client._wait
    # Numbers rise in the order in which requests are sent, whoever else sends.
    await wait(publisher._turn.acquire)
    try:
        batch = outbox.batch(len(messages), first_number, publisher._client._future())
        for number, request in enumerate(requests):
            try:
                await wait(publisher._room.acquire)
                outbox.push(batch, number * MOST_TICKS, request)
            except BaseException:
                # The rest of the ticks is not sent.
                batch.ticks = number * MOST_TICKS
                _finish(publisher, batch)
                raise
    finally:
        publisher._turn.release()
    return batch


async def _run(publisher: PublisherBase) -> None:
    error: BaseException = ValueError("the client or the publisher is closed")
    try:
        await _streams(publisher)
    except Exception as failure:
        error = failure
    finally:
        _fail(publisher, error)


async def _streams(publisher: PublisherBase) -> None:
    client, outbox = publisher._client, publisher._outbox
    attempts = Attempts(client.endpoints)
    while not publisher._is_over:
        endpoint, pause = attempts.begin()
        await client._sleep(pause)
        channel = publisher._channel = client._connect(endpoint)
        client._streaming.add(channel)
        error = None
        try:
            if publisher._is_over:
                return
            method = channel.stream_stream(
                PUBLISH_STREAM.path,
                PUBLISH_STREAM.request.SerializeToString,
                PUBLISH_STREAM.response.FromString,
            )
            queue = client._queue()
            outbox.open(queue)
            stream = method(
                client._requests(queue), metadata=client._metadata(), wait_for_ready=False
            )
            reader = client._reader(stream, outbox.answer_by)
            while (answer := await reader.read()) is not None:
                attempts.alive()
                _answered(publisher, attempts.name, outbox.receive(answer))
        except grpc.RpcError as broken:
            error = broken
        except ValueError:
            # grpc raises it when `close` in another thread was faster.
            if not publisher._is_over:
                raise
        finally:
            if outbox.close():
                attempts.alive()
            client._streaming.discard(channel)
            await client._wait(channel.close)
        if not publisher._is_over:
            publisher._on_event(attempts.end(error))


def _answered(publisher: PublisherBase, endpoint: str, batch: Batch | None) -> None:
    if batch is None:
        publisher._on_event(Connected(endpoint))
        return
    publisher._room.release()
    _finish(publisher, batch)


def _finish(publisher: PublisherBase, batch: Batch) -> None:
    if (result := receipt(batch)) is not None and batch.ticks:
        if not batch.future.done():
            batch.future.set_result(result)
        publisher._on_event(result)


def _fail(publisher: PublisherBase, error: BaseException) -> None:
    for batch in publisher._outbox.fail(error):
        if not batch.future.done():
            batch.future.set_exception(error)
            # Nobody may wait for it, which is no mistake.
            batch.future.exception()
    # At most one caller waits for room, because it has the turn. The outbox refuses it.
    publisher._room.release()

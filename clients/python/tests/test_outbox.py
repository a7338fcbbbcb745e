"""The requests of a publisher, without a server, and the ticks in them."""

import math
from decimal import Decimal
from queue import SimpleQueue

import pytest

from ticker_client import NewTick, Rejection
from ticker_client._outbox import MalformedError, Outbox, receipt
from ticker_client._proto.ticker.v1 import ticker_pb2 as pb


class Clock:
    """A time that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def push(outbox, count, first_number=None):
    ticks = [NewTick("A", "1.5", 1).message] * count
    batch = outbox.batch(count, first_number, future=None)
    outbox.push(batch, 0, ticks)
    return batch


def opened(outbox):
    """The requests of a new stream, which has answered the first one."""
    queue = SimpleQueue()
    outbox.open(queue)
    greeting = queue.get_nowait()
    assert (greeting.request_id, len(greeting.ticks)) == (0, 0)
    outbox.receive(pb.PublishStreamResponse())
    return queue


def numbers(queue):
    found = []
    while not queue.empty():
        request = queue.get_nowait()
        found.append((request.request_id, request.first_number, len(request.ticks)))
    return found


def answer(request_id, **counts):
    return pb.PublishStreamResponse(request_id=request_id, **counts)


def test_numbers_begin_at_1_and_count_on_over_all_requests():
    outbox = Outbox("me")
    push(outbox, 3)
    queue = opened(outbox)
    push(outbox, 2)
    push(outbox, 1, first_number=90)
    push(outbox, 1)
    assert numbers(queue) == [(1, 1, 3), (2, 4, 2), (3, 90, 1), (4, 91, 1)]


def test_the_next_stream_gets_what_has_no_answer_with_the_same_numbers():
    outbox = Outbox("me", first_number=7)
    queue = opened(outbox)
    push(outbox, 3)
    push(outbox, 2)
    outbox.receive(answer(1, accepted=3))
    assert outbox.close()
    assert (queue.get_nowait().request_id, queue.get_nowait().request_id) == (1, 2)
    assert queue.get_nowait() is None
    push(outbox, 4)
    assert numbers(opened(outbox)) == [(2, 10, 2), (3, 12, 4)]


def test_a_receipt_has_the_index_and_the_number_of_each_rejected_tick():
    outbox = Outbox("me")
    batch = outbox.batch(5, 10, future=None)
    ticks = [NewTick("A", 1).message] * 5
    outbox.push(batch, 0, ticks[:3])
    outbox.push(batch, 3, ticks[3:])
    opened(outbox)
    outbox.receive(answer(1, accepted=2, duplicates=1))
    assert receipt(batch) is None
    rejected = pb.RejectedTick(
        index=1, symbol="A", code=pb.REJECTION_CODE_INVALID_PRICE, message="why"
    )
    outbox.receive(answer(2, accepted=1, rejected=1, rejected_ticks=[rejected]))
    result = receipt(batch)
    assert (result.first_number, result.ticks, result.accepted, result.duplicates) == (10, 5, 3, 1)
    assert result.rejected == (Rejection(4, 14, "A", "INVALID_PRICE", "why"),)


@pytest.mark.parametrize(
    "wrong",
    [
        answer(2, accepted=2),
        answer(0),
        answer(1, accepted=1),
        answer(1, accepted=1, rejected=1),
        answer(1, accepted=1, rejected=1, rejected_ticks=[pb.RejectedTick(index=2)]),
    ],
)
def test_an_answer_that_is_none_to_the_oldest_request_ends_the_stream(wrong):
    outbox = Outbox("me")
    push(outbox, 2)
    opened(outbox)
    with pytest.raises(MalformedError, match="an answer"):
        outbox.receive(wrong)
    outbox.close()
    assert numbers(opened(outbox)) == [(1, 1, 2)]


def test_only_a_stream_that_owes_an_answer_is_silent():
    clock = Clock()
    outbox = Outbox("me", clock=clock)
    outbox.open(SimpleQueue())
    assert outbox.answer_by() == 15
    outbox.receive(answer(0))
    assert outbox.answer_by() == math.inf
    clock.now = 100
    push(outbox, 1)
    clock.now = 110
    push(outbox, 1)
    assert outbox.answer_by() == 115
    outbox.receive(answer(1, accepted=1))
    assert outbox.answer_by() == 125


@pytest.mark.parametrize(
    ("price", "nanos"),
    [
        ("101.5", 101_500_000_000),
        ("0.000000001", 1),
        (Decimal("97000.01000000000000"), 97_000_010_000_000),
        (3, 3_000_000_000),
        ("0", 0),
        ("0.000000000000000000000", 0),
        ("-1", -1_000_000_000),
    ],
)
def test_prices_are_exact(price, nanos):
    assert NewTick("A", price).message.price_nanos == nanos


@pytest.mark.parametrize(
    ("price", "why"),
    [
        ("x", "is no number"),
        ("", "is no number"),
        ("0.1234567891", "has more than 9 decimals"),
        ("NaN", "is not between"),
        ("Infinity", "is not between"),
        ("1e999999", "is not between"),
        ("1e-999999", "is not between"),
    ],
)
def test_other_prices_are_refused(price, why):
    with pytest.raises(ValueError, match=why):
        NewTick("A", price)


def test_a_float_is_no_price():
    with pytest.raises(TypeError, match=r"price 0\.1 is a float"):
        NewTick("A", 0.1)


def test_a_negative_quantity_is_refused():
    with pytest.raises(ValueError, match="-1"):
        NewTick("A", 1, -1)

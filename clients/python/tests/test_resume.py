"""The state of a watch, without a server."""

import grpc
import pytest
from conftest import Broken

from ticker_client import (
    CallError,
    CaughtUp,
    Connected,
    Disconnected,
    ForeignTapeError,
    Gap,
    Refused,
)
from ticker_client._attempts import SilenceError
from ticker_client._proto.ticker.v1 import ticker_pb2 as pb
from ticker_client._resume import Resume

SUBSCRIBED = pb.SYMBOL_STATUS_CODE_SUBSCRIBED
UNKNOWN = pb.SYMBOL_STATUS_CODE_UNKNOWN_SYMBOL
FOREIGN = pb.SYMBOL_STATUS_CODE_FOREIGN_TAPE


class Clock:
    """A time that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


UNAVAILABLE = Broken(grpc.StatusCode.UNAVAILABLE)


def resume_of(*endpoints, clock=None, timeout=None, **request):
    request = pb.WatchRequest(symbols=["A"], **request)
    return Resume(endpoints, request, timeout, clock or Clock())


def result(code=SUBSCRIBED, symbol="A", tape_id="t", message=""):
    statuses = [pb.SymbolStatus(symbol=symbol, code=code, message=message)]
    return pb.WatchResponse(
        subscription_result=pb.SubscriptionResult(tape_id=tape_id, statuses=statuses)
    )


def tick(sequence, symbol="A", conflated=0):
    return pb.WatchResponse(
        tick=pb.Tick(symbol=symbol, sequence=sequence, conflated=conflated, ltp=1.5)
    )


def sequences(resume, *messages):
    return [event.sequence for message in messages for event in resume.receive(message)]


def test_it_resumes_after_the_last_tick_of_each_symbol_on_the_same_tape():
    resume = resume_of("one", "two")
    assert resume.begin() == (0, 0.0)
    assert resume.request().tape_id == ""
    assert resume.receive(result()) == [Connected("one", "t")]
    assert sequences(resume, tick(7), tick(8), tick(3, "B")) == [7, 8, 3]
    assert resume.end(UNAVAILABLE) == Disconnected("one", "UNAVAILABLE: why")
    assert resume.begin() == (1, 0.0)
    assert resume.request().tape_id == "t"
    assert resume.request().after_sequence == {"A": 8, "B": 3}


def test_a_watch_may_begin_where_an_earlier_one_ended():
    resume = resume_of("one", after_sequence={"A": 8}, tape_id="t")
    resume.begin()
    assert resume.request().after_sequence == {"A": 8}
    assert sequences(resume, tick(8), tick(9)) == [9]


def test_a_tick_never_comes_twice():
    resume = resume_of("one")
    resume.begin()
    assert sequences(resume, tick(7), tick(7), tick(6), tick(8)) == [7, 8]
    assert resume.leaving is None


def test_a_gap_is_reported_and_the_watch_goes_on_after_it():
    resume = resume_of("one")
    resume.begin()
    resume.receive(tick(4))
    gap = pb.WatchResponse(gap=pb.Gap(symbol="A", first_sequence=5, last_sequence=9))
    assert list(resume.receive(gap)) == [Gap("A", 5, 9)]
    assert sequences(resume, tick(10)) == [10]


def test_a_jump_without_a_gap_is_asked_for_again():
    resume = resume_of("one", "two")
    resume.begin()
    assert sequences(resume, tick(4), tick(6)) == [4]
    assert resume.end() == Disconnected("one", "A: tick 6 follows 4 without a gap")
    resume.begin()
    assert resume.request().after_sequence == {"A": 4}


def test_conflated_ticks_are_no_jump():
    resume = resume_of("one")
    resume.begin()
    assert sequences(resume, tick(4), tick(9, conflated=4)) == [4, 9]


def test_caught_up_and_heartbeats():
    resume = resume_of("one")
    resume.begin()
    caught_up = pb.WatchResponse(caught_up=pb.CaughtUp(symbol="A", sequence=4))
    assert list(resume.receive(caught_up)) == [CaughtUp("A", 4)]
    assert list(resume.receive(pb.WatchResponse(heartbeat=pb.Heartbeat()))) == []


def test_a_draining_endpoint_is_left_for_the_next_one():
    resume = resume_of("one", "two")
    resume.begin()
    resume.receive(pb.WatchResponse(draining=pb.Draining()))
    assert resume.leaving
    assert resume.end() == Disconnected("one", "it is draining")
    assert resume.begin() == (1, 0.0)
    assert resume.leaving is None


def test_a_stream_whose_token_has_expired_is_resumed_once():
    clock, expired = Clock(), Broken(grpc.StatusCode.UNAUTHENTICATED)
    resume = resume_of("one", "two", clock=clock)
    resume.begin()
    clock.now += 2
    resume.receive(tick(1))
    assert resume.end(expired) == Disconnected("one", "UNAUTHENTICATED: why")
    assert resume.begin() == (1, 0.0)
    with pytest.raises(CallError, match="two: UNAUTHENTICATED: why"):
        resume.end(expired)


def test_each_endpoint_is_tried_once_without_a_pause_then_the_backoff_grows():
    longest = [0.0] * 8
    for _ in range(200):
        resume = resume_of("one", "two")
        for attempt in range(8):
            endpoint, pause = resume.begin()
            assert endpoint == attempt % 2
            longest[attempt] = max(longest[attempt], pause)
            assert resume.end(UNAVAILABLE)
    assert longest[:2] == [0.0, 0.0]
    for pause, limit in zip(longest[2:], [0.05, 0.1, 0.2, 0.4, 0.8, 1.0], strict=True):
        assert 0.9 * limit < pause <= limit


def test_a_stream_that_lives_for_a_second_ends_the_outage():
    clock = Clock()
    resume = resume_of("one", clock=clock)
    resume.begin()
    clock.now += 0.5
    resume.receive(tick(1))
    resume.end(UNAVAILABLE)
    _, pause = resume.begin()
    assert pause > 0
    clock.now += pause + 1.1
    resume.receive(tick(2))
    resume.end(UNAVAILABLE)
    assert resume.begin() == (0, 0.0)


def test_refused_symbols_are_reported_once():
    resume = resume_of("one", "two")
    resume.begin()
    message = result(UNKNOWN, "NOPE", message="unknown symbol NOPE")
    assert resume.receive(message) == [Refused("NOPE", "unknown symbol NOPE")]
    resume.end(UNAVAILABLE)
    resume.begin()
    assert resume.receive(message) == []


def test_a_foreign_tape_is_skipped():
    resume = resume_of("one", "two", "three")
    resume.begin()
    resume.receive(result())
    resume.end(UNAVAILABLE)
    resume.begin()
    assert resume.receive(result(FOREIGN, tape_id="u")) == ()
    assert resume.end() == Disconnected("two", "it plays another tape, u")
    assert resume.begin()[0] == 2
    assert resume.receive(result()) == [Connected("three", "t")]


def test_it_gives_up_when_the_last_answer_of_every_endpoint_was_a_foreign_tape():
    resume = resume_of("one", "two")
    resume.begin()
    resume.receive(result())
    resume.end(UNAVAILABLE)
    for _ in range(3):
        # The endpoint `two` is foreign and `one` is down.
        resume.begin()
        resume.receive(result(FOREIGN))
        resume.end()
        resume.begin()
        resume.end(UNAVAILABLE)
    resume.begin()
    resume.receive(result(FOREIGN))
    resume.end()
    resume.begin()
    with pytest.raises(ForeignTapeError, match="no endpoint plays the tape t any more"):
        resume.receive(result(FOREIGN))


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_some_statuses_are_retryable(code):
    resume = resume_of("one")
    resume.begin()
    if code.name in {
        "UNAVAILABLE",
        "CANCELLED",
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
    }:
        assert resume.end(Broken(code))
    else:
        with pytest.raises(CallError, match=f"one: {code.name}: why") as failure:
            resume.end(Broken(code))
        assert failure.value.code is code


def test_an_end_with_ok_is_the_end_of_a_replay_and_of_no_live_watch():
    resume = resume_of("one")
    resume.begin()
    assert resume.end() == Disconnected("one", "the server ended the stream")
    assert not resume.over
    replay = resume_of("one", end_time={"seconds": 1})
    replay.begin()
    assert replay.end() is None
    assert replay.over


def test_silence_is_reported():
    resume = resume_of("one")
    resume.begin()
    assert resume.end(SilenceError()) == Disconnected("one", "no message for 15 s")


def test_it_is_over_when_the_timeout_is():
    clock = Clock()
    resume = resume_of("one", clock=clock, timeout=10)
    resume.begin()
    assert resume.remaining() == 10
    clock.now = 4
    assert resume.end(UNAVAILABLE)
    assert resume.remaining() == 6
    clock.now = 10
    assert resume.end(Broken(grpc.StatusCode.DEADLINE_EXCEEDED)) is None
    assert resume.over

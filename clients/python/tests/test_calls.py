"""Unary calls that fail over, without a server."""

import grpc
import pytest
from conftest import Broken

from ticker_client import CallError, contract
from ticker_client._calls import Call, Caller, Pause

DOWN = Broken(grpc.StatusCode.UNAVAILABLE)
TAPE = contract.GetTapeResponse(tape_id="t")


def tried(steps, *outcomes):
    """The endpoints of the calls that have these outcomes, and the answer."""
    endpoints, step = [], next(steps)
    try:
        for outcome in outcomes:
            while isinstance(step, Pause):
                assert 0 <= step.seconds <= 1
                step = next(steps)
            assert isinstance(step, Call)
            endpoints.append(step.endpoint)
            step = steps.throw(outcome) if outcome is not TAPE else steps.send(outcome)
    except StopIteration as done:
        return endpoints, done.value
    return endpoints, None


def call(caller):
    return caller.call(contract.GET_TAPE, contract.GetTapeRequest())


def test_the_endpoint_that_answered_last_is_asked_first():
    caller = Caller(("one", "two", "three"), timeout=5)
    assert tried(call(caller), TAPE) == ([0], TAPE)
    assert tried(call(caller), DOWN, DOWN, TAPE) == ([0, 1, 2], TAPE)
    assert tried(call(caller), TAPE) == ([2], TAPE)
    assert tried(call(caller), Broken(grpc.StatusCode.DEADLINE_EXCEEDED), TAPE) == ([2, 0], TAPE)


def test_it_goes_on_until_the_timeout():
    caller = Caller(("one", "two"), timeout=5)
    assert tried(call(caller), DOWN, DOWN, DOWN, DOWN, DOWN) == ([0, 1, 0, 1, 0], None)


def test_after_the_timeout_every_endpoint_is_tried_all_the_same():
    caller = Caller(("one", "two"), timeout=0)
    steps = call(caller)
    with pytest.raises(CallError, match="two: UNAVAILABLE: why") as failure:
        tried(steps, DOWN, DOWN)
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE


def test_an_error_that_is_not_retryable_ends_it_at_once():
    caller = Caller(("one", "two"), timeout=5)
    with pytest.raises(CallError, match="one: NOT_FOUND: why"):
        tried(call(caller), Broken(grpc.StatusCode.NOT_FOUND))

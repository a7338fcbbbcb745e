"""Unary calls that fail over, without a server."""

import grpc
import pytest
from conftest import Broken

from ticker_client import CallError, Client, contract

DOWN = Broken(grpc.StatusCode.UNAVAILABLE)
TAPE = contract.GetTapeResponse(tape_id="t")
ENDPOINTS = ["one:1", "two:2", "three:3"]


class Scripted(Client):
    """A client whose calls have the outcomes that the test sets."""

    def tried(self, *outcomes):
        """The endpoints of a call whose attempts have these outcomes, and its answer."""
        self.outcomes, self.endpoints_tried = list(outcomes), []
        answer = self.call(contract.GET_TAPE, contract.GetTapeRequest())
        assert not self.outcomes
        return self.endpoints_tried, answer

    def _channel(self, endpoint):
        self.endpoints_tried.append(endpoint)
        return super()._channel(endpoint)

    async def _wait(self, *_, **__):
        outcome = self.outcomes.pop(0)
        if outcome is not TAPE:
            raise outcome
        return outcome

    async def _sleep(self, seconds):
        assert 0 <= seconds <= 1


def test_the_endpoint_that_answered_last_is_asked_first():
    client = Scripted(ENDPOINTS)
    assert client.tried(TAPE) == ([0], TAPE)
    assert client.tried(DOWN, DOWN, TAPE) == ([0, 1, 2], TAPE)
    assert client.tried(TAPE) == ([2], TAPE)
    assert client.tried(Broken(grpc.StatusCode.DEADLINE_EXCEEDED), TAPE) == ([2, 0], TAPE)


def test_it_goes_on_until_the_timeout():
    client = Scripted(ENDPOINTS[:2])
    assert client.tried(DOWN, DOWN, DOWN, DOWN, DOWN, TAPE) == ([0, 1, 0, 1, 0, 1], TAPE)


def test_after_the_timeout_every_endpoint_is_tried_all_the_same():
    client = Scripted(ENDPOINTS[:2], timeout=0)
    with pytest.raises(CallError, match="two:2: UNAVAILABLE: why") as failure:
        client.tried(DOWN, DOWN)
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE


def test_an_error_that_is_not_retryable_ends_it_at_once():
    client = Scripted(ENDPOINTS[:2])
    with pytest.raises(CallError, match="one:1: NOT_FOUND: why"):
        client.tried(Broken(grpc.StatusCode.NOT_FOUND), TAPE)

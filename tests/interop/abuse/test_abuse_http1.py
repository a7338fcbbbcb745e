"""Streams of server-sent events by the thousands, and requests of HTTP/1.1 whose answers nobody reads: nobody else suffers."""

import pytest

from harness import MIB, at_length

WORKERS = at_length([1, 2], [1])
COUNT = 10_000
REST = 16 * MIB
# Long enough that a hiccup of the machine for 30 ms delays less than a hundredth of the ticks.
ATTACK = at_length(30, 8)
STALL = at_length(30, 3)


@pytest.mark.parametrize("workers", WORKERS)
def test_ten_thousand_event_streams_harm_nobody(case, workers):
    with case("10,000 event streams", workers=workers) as it:
        it.baseline()
        query = "symbols=RELIANCE&minInterval=1h"
        it.attack(("event_streams", {"count": COUNT, "query": query, "seconds": at_length(30, 3), "addresses": 20}))
        it.leave()
        it.settle(REST, 10)
        it.finish()
        (result,) = it.figures.results
        it.figures.name += f" ({result['open']} open)"
        it.check((result["statuses"] == {"200": COUNT}, f"answered {result}"), added=400 * MIB, left=REST)


@pytest.mark.parametrize("workers", WORKERS)
def test_event_streams_past_the_connections_of_an_address_lock_nobody_out(case, workers):
    with case("10,000 event streams at 2,000 descriptors", workers=workers, descriptors=2_000) as it:
        it.baseline()
        query = "symbols=RELIANCE&minInterval=1h"
        it.attack(("event_streams", {"count": COUNT, "query": query, "seconds": 2}))
        it.leave()
        it.settle(REST, 10)
        it.finish()
        it.check(added=100 * MIB, left=REST, descriptors=2_000)


@pytest.mark.parametrize("workers", WORKERS)
def test_event_streams_that_nobody_reads_are_bounded_and_given_up(case, workers):
    with case("unread: 300 event streams of the past", f"--stall-timeout {STALL}s", workers=workers) as it:
        it.baseline()
        query = "symbols=*&startTime=2020-01-01T00:00:00Z"
        attack = {"count": 300, "query": query, "seconds": 300, "reads": False}
        it.attack(("event_streams", attack), seconds=ATTACK)
        # The attacker keeps its sockets open.
        it.settle(REST, 10)
        it.leave()
        it.finish()
        it.check(added=96 * MIB, left=REST)


@pytest.mark.parametrize("workers", WORKERS)
def test_requests_that_come_without_end_are_taken_as_their_answers_are_read(case, workers):
    with case("unread: requests one after the other", f"--stall-timeout {STALL}s", workers=workers) as it:
        it.baseline()
        it.attack(("pipelined", {"connections": 50, "path": "/v1/instruments", "seconds": ATTACK}))
        it.settle(REST, 10)
        it.leave()
        it.finish()
        it.check(added=32 * MIB, left=REST)

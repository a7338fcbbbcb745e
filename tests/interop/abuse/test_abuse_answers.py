"""Answers that nobody reads are bounded while they wait, and given up after `--stall-timeout`."""

import pytest

from harness import LONG, MIB, at_length

WORKERS = at_length([1, 2], [1])
STALL = at_length(30, 3)
# Long enough that a hiccup of the machine for 30 ms delays less than a hundredth of the ticks.
ATTACK = at_length(30, 8)
# So long after the stall timeout everything must be back.
BACK = 10
REST = 16 * MIB

SHAPES = {
    "pages of ticks": [("unread", {"what": "ticks"})],
    "10,000 refusals": [("unread", {"what": "refused", "window": 1, "connections": 5})],
    "short answers": [
        ("unread", {"what": what, "connections": 7}) for what in ("prices", "instruments", "reflection")
    ],
    "pages asked for again": [("unread", {"what": "ticks", "rounds": 10})],
}


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("shape", list(SHAPES) if LONG else list(SHAPES)[:3])
def test_unread_answers_are_bounded_and_given_up(case, shape, workers):
    with case(f"unread: {shape}", f"--stall-timeout {STALL}s", workers=workers) as it:
        it.baseline()
        attacks = [(name, {**options, "seconds": 300}) for name, options in SHAPES[shape]]
        it.attack(*attacks, seconds=ATTACK)
        # The attackers stay connected.
        it.settle(REST, BACK)
        it.leave()
        it.finish()
        it.check(added=64 * MIB, left=REST)


@pytest.mark.parametrize("workers", WORKERS)
def test_an_answer_that_is_read_a_byte_at_a_time_is_bounded(case, workers):
    with case("unread: a byte at a time", f"--stall-timeout {STALL}s", workers=workers) as it:
        it.baseline()
        it.attack(("drip", {"seconds": STALL + 2}))
        it.leave()
        it.settle(REST, BACK)
        it.finish()
        it.check(added=64 * MIB, left=REST)

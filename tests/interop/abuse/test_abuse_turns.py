"""Long work takes turns with the ticks of everybody else: large requests, replays, leaving, and history."""

import pytest

from harness import MIB, at_length, percentile

WORKERS = at_length([1, 2], [1])
SECONDS = at_length(15, 3)
# No bound is named for these; the figure is so large that only growth without end exceeds it.
ADDED = 128 * MIB


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("attack", "options"),
    [
        ("churn", ()),
        ("replace", ("--any-symbol",)),
        ("unknown_symbols", ()),
        ("quotes", ()),
        ("moving_windows", ()),
    ],
)
def test_requests_that_ask_for_much_work_take_turns(case, attack, options, workers):
    with case(f"turns: {attack}", *options, workers=workers) as it:
        it.baseline()
        it.attack((attack, {"seconds": SECONDS}))
        it.leave()
        it.finish()
        it.check(added=ADDED)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("connections", [1, 10])
def test_a_thinned_replay_of_years_takes_turns(case, connections, workers):
    with case(f"thinned replay on {connections} × 200 streams", workers=workers) as it:
        it.baseline()
        it.attack(("thinned_replay", {"seconds": SECONDS, "connections": connections}))
        it.leave()
        it.finish()
        it.check(added=ADDED)


@pytest.mark.parametrize("workers", WORKERS)
def test_leaving_with_many_subscriptions_takes_turns(case, workers):
    count = at_length(2_000_000, 300_000)
    with case(f"leaving with up to {count:,} subscriptions", "--any-symbol", workers=workers) as it:
        it.baseline()
        # Subscribing is long work as well: all of it is measured, and two seconds after the connection was dropped.
        it.attack(("hold", {"count": count}), prepare=240, linger=2)
        it.leave()
        it.finish()
        it.check()


@pytest.mark.parametrize("workers", WORKERS)
def test_one_tick_of_history_comes_soon_beside_the_candles_of_another(case, workers):
    seconds = at_length(30, 5)
    with case("history: candles on 50 × 20 streams", workers=workers) as it:
        it.baseline()
        it.attack(("candles", {"seconds": seconds}), ("one_tick", {"seconds": seconds}))
        it.leave()
        it.finish()
        of_one_tick = it.figures.results[1]
        age = percentile(of_one_tick["ages"], 0.99)
        it.figures.name += f" (one tick: p99 {age:.0f} ms)"
        ends = of_one_tick["ends"]
        it.check(
            (age <= 100, f"one tick took {age:.0f} ms at p99"),
            (set(ends) == {"0"}, f"the calls for one tick ended with {ends}"),
            added=ADDED,
        )

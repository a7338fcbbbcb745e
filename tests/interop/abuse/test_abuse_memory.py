"""Subscriptions and invented instruments have ceilings, and what they held goes back to the system."""

import pytest

from harness import MIB, at_length

WORKERS = at_length([1, 2], [1])
LIMIT_EXCEEDED = "6"

INVENTED = at_length(587_000, 150_000)
HELD = at_length(2_000_000, 300_000)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("what", "option", "limit", "options"),
    [
        ("invented symbols", "--max-invented-symbols", at_length(100_000, 30_000), {"count": INVENTED, "invented": INVENTED}),
        ("subscriptions", "--max-subscriptions", at_length(400_000, 60_000), {"count": HELD, "connections": 4}),
    ],
)
def test_what_is_held_has_a_ceiling_and_goes_back(case, what, option, limit, options, workers):
    asked = options["count"]
    with case(f"{asked:,} {what}, {limit:,} allowed", "--any-symbol", f"{option} {limit}", workers=workers) as it:
        it.baseline()
        it.attack(("hold", {**options, "seconds": 1}), prepare=240)
        it.leave()
        it.settle(it.figures.idle // 2, 30)
        it.finish()
        codes = it.figures.results[0]["codes"]
        it.check(
            (codes.get("1", 0) <= limit and codes.get(LIMIT_EXCEEDED), f"answers by status code: {codes}"),
            added=limit * 1_500 + 48 * MIB,
            left=it.figures.idle // 2,
        )

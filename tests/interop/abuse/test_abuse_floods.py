"""Floods of frames: the server lives, the others do not notice, and it costs neither a core nor a full log."""

import pytest

from harness import MIB, at_length

SECONDS = at_length(20, 2)
WORKERS = at_length([1, 2], [1])


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    "flood", ["rapid_reset", "made_you_reset", "continuation", "hpack_bomb", "ping", "settings", "priority", "unknown"]
)
def test_a_flood_of_frames_harms_nobody(case, flood, workers):
    with case(f"flood: {flood}", workers=workers) as it:
        it.baseline()
        it.attack((flood, {"seconds": SECONDS}))
        it.leave()
        it.settle(16 * MIB, 5)
        it.finish()
        # Issue 7, point 12. Each flood is cut after a while and begins again on a new connection.
        lines = len(it.server.stderr)
        quiet = (lines <= 10 * SECONDS, f"{lines} lines of log")
        it.check(quiet, added=32 * MIB, left=16 * MIB, descriptors=40, cores=0.5)

"""Many small requests at once are an honest client's right."""

import json
import subprocess
import threading

import pytest

from harness import at_length
from frames import GOGEN_STREAM

ROUNDS = 20
BUSY = {"beside a quiet worker": (), "beside a busy worker": (("churn", {"seconds": 600}),)}


@pytest.mark.timeout(at_length(900, 200))
@pytest.mark.parametrize("beside", list(BUSY))
@pytest.mark.parametrize("package", ["v1", "gogen"])
def test_a_burst_of_ten_thousand_requests_is_answered(case, package, beside):
    rounds = ROUNDS if beside == "beside a quiet worker" else at_length(ROUNDS, 5)
    with case(f"burst of 10,000: {package}, {beside}", "--any-symbol") as it:
        it.baseline()
        it.begin(*BUSY[beside])
        it.attack(("burst", {"package": package, "rounds": rounds}), timeout=800)
        it.leave()
        it.finish()
        result = it.figures.results[0]
        it.figures.name += f" ({result['good']} of {rounds})"
        it.check((result["good"] == rounds, f"{result['good']} of {rounds} bursts were answered"), age=False)


def answered_by_grpcurl(grpcurl, address, count, patience):
    """How many of `count` symbols ticked when all were asked for in one burst, and what grpcurl said."""
    process = subprocess.Popen(
        [grpcurl, "-plaintext", "-d", "@", "-format", "json", address, GOGEN_STREAM[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(patience, process.kill)
    timer.start()
    requests = "".join(json.dumps({"symbol": f"SYM{number}"}) + "\n" for number in range(count))

    def write():
        try:
            process.stdin.write(requests)
            process.stdin.close()
        except OSError:
            pass

    threading.Thread(target=write, daemon=True).start()
    seen = set()
    for line in process.stdout:
        if '"symbol"' in line:
            seen.add(line)
            if len(seen) == count:
                break
    process.kill()
    said = process.stderr.read()
    process.wait()
    timer.cancel()
    return len(seen), said


@pytest.mark.timeout(at_length(900, 200))
def test_a_burst_of_grpcurl_is_answered(case, grpcurl):
    rounds = at_length(ROUNDS, 5)
    with case("burst of 10,000: grpcurl", "--any-symbol", workers=2) as it:
        it.baseline()
        answers = [answered_by_grpcurl(grpcurl, it.address, 10_000, 30) for _ in range(rounds)]
        it.finish()
        good = sum(seen == 10_000 for seen, _ in answers)
        it.figures.name += f" ({good} of {rounds})"
        it.check((good == rounds, f"{good} of {rounds} bursts were answered: {answers}"), age=False)

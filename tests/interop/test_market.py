"""The simulated market behaves like a market: what `ticker market-report` finds is what is asked.

512 days are too few for the tails of days, which tests/tape/market.rs measures over many more.
"""

import re
import subprocess

import pytest

FEW_DAYS = re.compile(r"(1 day|1 days|5 days|10 days) ")


def report(binary, *arguments):
    ran = subprocess.run([binary, "market-report", *arguments], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    # Facts are indented; other lines count them and name sources.
    return [line for line in ran.stdout.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize(
    "symbol, seed", [("RELIANCE", 1), ("TCS", 2), ("AAPL", 3), ("EUR-USD", 4), ("BTC-USD", 5), ("NIFTY50", 6)]
)
def test_an_instrument_behaves_as_that_of_a_market(binary, symbol, seed):
    lines = report(binary, symbol, "--seed", str(seed))
    assert sum(" ok" in line for line in lines) > 10, lines
    assert [line for line in lines if "MISSED" in line and not FEW_DAYS.search(line)] == []


def test_instruments_move_together(binary):
    lines = report(binary, "*", "--seed", "7")
    missed = [line for line in lines if "MISSED" in line]
    # The report compares each index with all shares of its currency, which is not what narrow indices are made of.
    narrow = ("BANKNIFTY", "FINNIFTY", "NDX", "DJI")
    missed = [line for line in missed if not line.strip().startswith(narrow)]
    # Quotes are as old as their last ticks, so some do not fit together on paper.
    assert [line for line in missed if "arbitrage" not in line] == []

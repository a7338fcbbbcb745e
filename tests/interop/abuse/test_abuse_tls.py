"""TLS handshakes do not hold up the ticks of others, and do not stay for long."""

import subprocess

import pytest

from harness import MIB, at_length

RATE = 500


@pytest.fixture(scope="module")
def tls(binary, tmp_path_factory):
    """The options of a server with TLS."""
    folder = tmp_path_factory.mktemp("tls") / "certs"
    subprocess.run([binary, "certs", "--out", folder], check=True, capture_output=True)
    return f"--tls-cert {folder}/server.pem", f"--tls-key {folder}/server-key.pem"


def test_five_hundred_handshakes_a_second_do_not_delay_ticks(case, tls):
    with case(f"{RATE} TLS handshakes a second", *tls) as it:
        it.baseline()
        it.attack(("handshakes", {"seconds": at_length(30, 8), "rate": RATE}))
        it.leave()
        it.finish()
        (result,) = it.figures.results
        it.figures.name += f" ({result['rate']} made)"
        it.check((result["failed"] == 0, f"{result['failed']} handshakes failed"), added=32 * MIB)


def test_handshakes_that_never_end_are_cut(case, tls):
    with case("2,000 half TLS handshakes", *tls) as it:
        it.baseline()
        it.attack(("half_handshakes", {"count": 2_000, "seconds": 6}))
        it.leave()
        it.finish()
        (result,) = it.figures.results
        it.check((result["open"] == 0, f"{result['open']} are open still"), added=64 * MIB)

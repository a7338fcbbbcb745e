"""AArch64 under qemu: it computes the same tape as this machine."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import missing, tool
from image import output
from processes import Process

TARGET = "aarch64-unknown-linux-gnu"


@pytest.fixture(scope="module")
def qemu():
    """The start of a command line that runs a program of AArch64."""
    return [tool("qemu-aarch64"), "-L", "/usr/aarch64-linux-gnu"]


@pytest.fixture(scope="module")
def golden_vectors(root, qemu):
    """The run of the golden vectors on AArch64. Cargo builds the command `ticker` with it."""
    linker = tool("aarch64-linux-gnu-gcc")
    if not (Path(output("rustc", "--print", "sysroot")) / "lib" / "rustlib" / TARGET).exists():
        missing(f"the target {TARGET} (`rustup target add {TARGET}`)")
    command = ["cargo", "test", "--locked", "--target-dir", root / "target", "--target", TARGET]
    # The code of the tape is optimised, as in a release, and the dependencies are built fast.
    command += ["--config", "profile.dev.package.ticker.opt-level=1", "--config", "profile.dev.debug=false"]
    command += ["--config", f'target.{TARGET}.linker="{linker}"', "--config", f'target.{TARGET}.runner="{" ".join(qemu)}"']
    return subprocess.run([*command, "--test", "tape", "golden"], cwd=root, capture_output=True, text=True)


# The first of these builds for AArch64.
@pytest.mark.timeout(900)
def test_the_golden_vectors_are_the_same_on_aarch64(golden_vectors):
    assert golden_vectors.returncode == 0, golden_vectors.stdout[-4000:] + golden_vectors.stderr[-4000:]
    assert re.search(r"^test result: ok\. [1-9]\d* passed", golden_vectors.stdout, re.MULTILINE), golden_vectors.stdout


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("golden_vectors")
def test_verify_finds_the_ticks_of_an_aarch64_server_the_same(root, binary, qemu, serve):
    there = serve("--seed", "3", program=(*qemu, root / "target" / TARGET / "debug" / "ticker"))
    here = serve("--seed", "3")
    twenty_minutes = ["--from", "2026-01-05T10:00:00Z", "--to", "2026-01-05T10:20:00Z"]
    with Process([binary, "verify", "*", *twenty_minutes, "--endpoint", here.address, "--endpoint", there.address]) as verify:
        assert verify.wait(120) == 0, str(verify)
    same = re.search(r"^(\d+) ticks of \d+ symbols: the replicas are the same$", "".join(verify.stdout), re.MULTILINE)
    assert same and int(same.group(1)) > 100_000, str(verify)

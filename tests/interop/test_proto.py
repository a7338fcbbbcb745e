"""The contract as a text: `buf` is its linter and formatter."""

import subprocess

import pytest


@pytest.mark.parametrize("check", [["lint"], ["format", "--diff", "--exit-code"]], ids=["lint", "format"])
def test_the_contract_is_clean(buf, root, check):
    ran = subprocess.run([buf, *check], cwd=root / "proto", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr

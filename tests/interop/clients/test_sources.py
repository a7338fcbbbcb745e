"""The sources of clients and chats as the formatters of their languages leave them. tsc and javac are strict in the builds."""

import subprocess

import pytest

from conftest import tool

CHECKS = {
    "clients/go": [["gofmt", "-l", "."], ["go", "vet", "./..."]],
    "examples/chat/go": [["gofmt", "-l", "."], ["go", "vet", "./..."]],
    "clients/rust": [["rustfmt", "--check", "--edition", "2024", "src/output.rs", "src/replicas.rs", "src/watch.rs"]],
    "examples/chat/rust": [["rustfmt", "--check", "--edition", "2024", "src/main.rs"]],
}


@pytest.mark.parametrize("folder", CHECKS)
def test_the_sources_are_clean(root, folder):
    for check in CHECKS[folder]:
        program = tool(check[0])
        ran = subprocess.run([program, *check[1:]], cwd=root / folder, capture_output=True, text=True)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", ""), ran

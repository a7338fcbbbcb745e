"""The sources of clients and chats are as the formatters of their languages leave them, and the files to copy stand alone. tsc and
javac are strict in the builds."""

import re
import subprocess

import pytest

from conftest import TOOLS, tool

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


def test_the_file_to_copy_needs_the_generated_code_alone(root, tmp_path):
    clients, built = root / "clients", TOOLS / "checkout" / "clients"
    assert compiled([tool("go"), "vet", "watch.go"], clients / "go") == ""

    (tmp_path / "ticker").symlink_to(built / "java" / "target" / "classes" / "ticker")
    libraries = f"{tmp_path}:{built / 'java' / 'target' / 'lib'}/*"
    source = clients / "java" / "src" / "main" / "java" / "com" / "example" / "ticker" / "Watch.java"
    assert compiled([tool("javac"), "-cp", libraries, "-d", tmp_path, source], tmp_path) == ""

    imports = re.findall(r'from "(\./.*)"', (clients / "node" / "src" / "watch.ts").read_text())
    assert imports == ["./generated/ticker/v1/ticker.js"]
    # `replicas` has the type alias `Client`: the client of the generated code, with an interceptor that sends a token.
    imports = re.findall(r"^    (\w+)::", (clients / "rust" / "src" / "watch.rs").read_text(), re.MULTILINE)
    assert imports == ["replicas", "v1"]


def compiled(command, folder):
    """The errors that a compiler reports for a file."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stderr

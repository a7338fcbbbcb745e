"""The contract as a text: `buf` is its linter and formatter, and compares it with the last release."""

import os
import shutil
import subprocess

import pytest

from conftest import TOOLS, tool

RELEASED = "released.binpb"


@pytest.fixture
def run_buf(buf, root):
    """Runs buf in the folder of the contract."""

    def run(*arguments, folder=root / "proto"):
        path = f"{TOOLS / 'bin'}:{os.environ['PATH']}"
        return subprocess.run([buf, *arguments], cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path})

    return run


@pytest.mark.parametrize("folder", ["proto", "examples/chat"])
@pytest.mark.parametrize("check", [["lint"], ["format", "--diff", "--exit-code"]], ids=["lint", "format"])
def test_the_contract_is_clean(run_buf, root, folder, check):
    ran = run_buf(*check, folder=root / folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_contract_breaks_no_client_of_the_last_release(run_buf):
    ran = run_buf("breaking", "--against", RELEASED)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "old, new",
    [
        ("int64 ltp_nanos = 5;", "int64 price_nanos = 5;"),
        ("uint64 sequence = 4;", "int64 sequence = 4;"),
        ("rpc Watch(WatchRequest)", "rpc Follow(WatchRequest)"),
        ("DELIVERY_EVERY_TICK = 2;", "DELIVERY_ALL = 2;"),
    ],
    ids=["a field renamed", "a type changed", "a call renamed", "an enum value renamed"],
)
def test_a_change_that_breaks_clients_is_found(run_buf, root, tmp_path, old, new):
    shutil.copytree(root / "proto", tmp_path / "proto")
    file = tmp_path / "proto/ticker/v1/ticker.proto"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    ran = run_buf("breaking", "--against", RELEASED, folder=tmp_path / "proto")
    assert ran.returncode == 100 and "ticker.proto" in ran.stdout, ran


def test_a_schema_registry_finds_one_named_module(run_buf):
    modules = run_buf("config", "ls-modules", "--format", "name")
    assert modules.stdout.split() == ["buf.build/ticker/ticker"], modules
    files = run_buf("ls-files").stdout.split()
    assert files == ["gogen/ticker.proto", "ticker/v1/ticker.proto"]


def test_the_reference_is_fresh(run_buf, root, tmp_path):
    tool("protoc-gen-doc", TOOLS / "bin")
    for folder in ["proto", "docs"]:
        (tmp_path / folder).mkdir()
    shutil.copytree(root / "proto", tmp_path / "proto", dirs_exist_ok=True)
    shutil.copy(root / "docs/API.md.tmpl", tmp_path / "docs")
    ran = run_buf("generate", folder=tmp_path / "proto")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "docs/API.md").read_text() == (root / "docs/API.md").read_text(), "run `just api`"

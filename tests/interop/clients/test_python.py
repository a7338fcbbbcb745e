"""The Python package by its own tests and checkers, and as what would be published."""

import os
import subprocess
import zipfile

import pytest

from conftest import TOOLS

BIN = TOOLS / "client-python" / "bin"


@pytest.fixture
def run(binary, checkout):
    """Runs a program of the package's environment in its folder."""

    def run(program, *arguments):
        env = os.environ | {"TICKER_BIN": os.path.abspath(binary)}
        ran = subprocess.run([BIN / program, *arguments], cwd=checkout / "clients/python", env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    return run


@pytest.mark.parametrize(
    "checker",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]],
    ids=" ".join,
)
def test_the_package_is_clean(run, checker):
    run(*checker)


@pytest.mark.timeout(500)
def test_its_own_tests_pass(run):
    run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_what_would_be_published_is_a_typed_wheel(run, tmp_path):
    run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ".")
    (wheel,) = tmp_path.iterdir()
    listed = zipfile.ZipFile(wheel).namelist()
    assert {"ticker_client/py.typed", "ticker_client/service_config.json"} <= set(listed)
    assert not [name for name in listed if name.startswith("tests")]

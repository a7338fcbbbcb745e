"""What the package has from elsewhere in the repository."""

import json
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import ticker_client

HERE = Path(__file__).resolve().parent.parent


def test_the_service_config_is_part_of_the_package():
    text = files(ticker_client).joinpath("service_config.json").read_text()
    assert json.loads(text)["loadBalancingConfig"] == [{"round_robin": {}}]


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("src/ticker_client/service_config.json", "docs/service-config.json"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("LICENSE-MIT", "LICENSE-MIT"),
    ],
)
def test_copies_are_the_same(copy, original):
    top = HERE.parent.parent
    if not (top / "proto").exists():
        pytest.skip("not in the repository of the service")
    assert (HERE / copy).read_text() == (top / original).read_text()


def test_all_public_names_exist():
    for name in ticker_client.__all__:
        assert getattr(ticker_client, name)
    assert version("ticker-client")


@pytest.mark.parametrize("name", ["Client", "Publisher"])
def test_the_blocking_and_the_asyncio_class_have_the_same_methods(name):
    methods = [
        {name: method.__doc__ for name, method in vars(kind).items() if name[0] != "_"}
        for kind in (getattr(ticker_client, name), getattr(ticker_client, f"Async{name}"))
    ]
    assert methods[0] == methods[1]
    assert all(methods[0].values())

"""The container image: built from the Dockerfile, looked into, and run as its user in its own root."""

import os
import subprocess

import pytest

from conftest import TOOLS, missing, tool
from grpc_client import record
from image import BUILD_ARGUMENTS, Image
from processes import Process, Server


@pytest.fixture(scope="module")
def image(root):
    tool("buildah")
    if os.geteuid() != 0:
        missing("root, which a build in a chroot needs,")
    image = Image(root, TOOLS / "image").build()
    yield image
    image.close()


@pytest.fixture(scope="module")
def unpacked(image):
    return image.unpack()


@pytest.fixture(scope="module")
def as_its_user(unpacked):
    """The start of a command line that runs something inside the image."""
    return [tool("chroot"), "--userspec=65532:65532", "--groups=", str(unpacked)]


# The first of these builds everything in release mode.
@pytest.mark.timeout(1200)
def test_the_image_says_how_to_run_it(image):
    config = image.config()
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/ticker"]
    assert not config["Cmd"]
    assert "TICKER_LISTEN=0.0.0.0:50051" in config["Env"]
    assert list(config["ExposedPorts"]) == ["50051/tcp"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/ticker", "health"]
    assert config["StopSignal"] == "SIGTERM"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "ticker"
    assert {name.upper(): labels[name] for name in ("source", "version", "revision")} == BUILD_ARGUMENTS


def test_the_image_holds_one_file(unpacked):
    files = [path.relative_to(unpacked) for path in unpacked.rglob("*") if not path.is_dir()]
    assert [str(path) for path in files] == ["ticker"]


def test_the_image_has_at_most_eleven_megabytes(unpacked):
    assert (unpacked / "ticker").stat().st_size <= 11_000_000


def test_its_binary_is_static(unpacked):
    ran = subprocess.run(
        ["readelf", "--program-headers", "--dynamic", "--wide", unpacked / "ticker"], capture_output=True
    )
    assert ran.returncode == 0, ran.stderr
    assert b"INTERP" not in ran.stdout
    assert b"NEEDED" not in ran.stdout


def test_it_serves_as_its_user_and_stops_when_told(as_its_user):
    with Server([*as_its_user, "/ticker", "serve", "--listen", "127.0.0.1:0"], env={}) as server:
        with Process(
            [*as_its_user, "/ticker", "health"], env={"TICKER_ENDPOINT": f"http://{server.address}"}
        ) as health:
            assert health.wait(10) == 0, str(health)
        owner = os.stat(f"/proc/{server.process.pid}")
        assert (owner.st_uid, owner.st_gid) == (65532, 65532)
        code, seconds = server.terminate()
    assert code == 0
    assert seconds < 2


def test_its_health_check_works_without_an_argument(as_its_user, image):
    listen = dict(setting.split("=", 1) for setting in image.config()["Env"])["TICKER_LISTEN"]
    # The port of the image, on which nothing else listens in CI; at a desk something may.
    with Process([*as_its_user, "/ticker"], env={"TICKER_LISTEN": listen}) as server:
        try:
            server.line()
        except AssertionError:
            if "in use" in "".join(server.stderr) and os.environ.get("CI") != "true":
                pytest.skip(f"another process has {listen}")
            raise
        with Process([*as_its_user, "/ticker", "health"], env={"TICKER_LISTEN": listen}) as health:
            assert health.wait(10) == 0, str(health)


def test_it_sends_the_ticks_that_the_binary_of_this_machine_sends(as_its_user, serve):
    # musl there, glibc here, and one tape.
    here, there = serve("--seed", "3"), serve("--seed", "3", program=(*as_its_user, "/ticker"))
    mine, theirs = record([here.address, there.address], ["RELIANCE", "TCS", "BTC-USD"])
    assert mine.tape_id == theirs.tape_id
    common = mine.ticks.keys() & theirs.ticks.keys()
    assert len(common) > 30
    assert all(mine.ticks[key] == theirs.ticks[key] for key in common)

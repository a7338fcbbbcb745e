"""The generated code of the clients: what is committed is what the contract gives, by buf and in a container."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from conftest import TOOLS, missing, tool
from image import Image, output

# The line of a generated file that names the version of protoc; buf has none.
PROTOC = re.compile(r"^// [\t-] ?protoc  .*\n", re.MULTILINE)


def generated(folder):
    """The text of each file of generated code, without the version of protoc."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): PROTOC.sub("", path.read_text()) for path in files}


@pytest.mark.parametrize("folder", ["clients/go/tickerv1", "clients/python/src/ticker_client/_proto"])
def test_the_committed_code_is_that_of_the_contract(checkout, root, folder):
    assert generated(checkout / folder) == generated(root / folder)


@pytest.mark.parametrize("language", ["java", "node", "rust"])
def test_the_template_of_one_language_is_its_part_of_the_one_for_all(root, language):
    """Go and Python have their code committed."""

    def plugins(file):
        text = file.read_text()
        return [str(plugin) for plugin in yaml.safe_load(text)["plugins"]]

    folder = f"clients/{language}/"
    everything = plugins(root / "clients/buf.gen.yaml")
    own = [plugin.replace(folder, "") for plugin in everything if folder in plugin]
    assert own == plugins(root / folder / "buf.gen.yaml")


def test_copies_of_the_service_config_are_the_documented_one(root):
    copies = [path for path in root.glob("clients/**/service?config.json") if "node_modules" not in path.parts]
    assert copies and all(path.read_bytes() == (root / "docs/service-config.json").read_bytes() for path in copies)


@pytest.mark.timeout(600)
def test_a_container_generates_the_code_for_go(root, tmp_path):
    tool("buildah")
    tool("go")
    if os.geteuid() != 0:
        missing("root, which a build in a chroot needs,")
    if not importlib.util.find_spec("grpc_tools"):
        missing("grpcio-tools, which has a protoc,")
    home, dockerfile = TOOLS / "codegen", root / "clients/go/Dockerfile.codegen"
    image = Image(root, home)
    try:
        image.buildah("bud", "--isolation", "chroot", "--tag", "localhost/golang", golang(home))
        # Whoever installs the plugins here has all modules that they need, and the build needs no network.
        for plugin in re.findall(r"go install (\S+@\S+)", dockerfile.read_text()):
            subprocess.run(["go", "install", plugin], env={**os.environ, "GOBIN": str(home / "bin")}, check=True)
        (home / "cache").mkdir(exist_ok=True)
        mounts = {f"{home}/cache": "/tmp/cache", output("go", "env", "GOMODCACHE"): "/go/pkg/mod"}
        read_only = ["/usr", output("go", "env", "GOROOT"), sys.prefix, sys.base_prefix]
        image.buildah(
            "bud",
            "--isolation=chroot",
            *(f"--volume={here}:{there}" for here, there in mounts.items()),
            *(f"--volume={path}:{path}:ro" for path in read_only),
            "--build-arg=BASE=localhost/golang",
            f"--output={tmp_path}",
            f"--file={dockerfile}",
            root / "proto",
        )
    finally:
        shutil.rmtree(home / "storage", ignore_errors=True)
    assert generated(tmp_path / "tickerv1") == generated(root / "clients" / "go" / "tickerv1")


def golang(home):
    """The context of a stand-in for the image of Go: this machine's Go and a protoc, in an otherwise empty root."""
    context = home / "golang"
    shutil.rmtree(context, ignore_errors=True)
    for directory in ("bin.stand-in", "tmp", "usr"):
        (context / "root" / directory).mkdir(parents=True)
    for directory in ("bin", "lib", "lib64", "sbin"):
        (context / "root" / directory).symlink_to(f"usr/{directory}")
    scripts = {"apt-get": "", "protoc": f'exec {sys.executable} -m grpc_tools.protoc "$@"\n'}
    for name, script in scripts.items():
        path = context / "root" / "bin.stand-in" / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)
    environment = {
        "PATH": f"/bin.stand-in:/go/bin:{output('go', 'env', 'GOROOT')}/bin:/usr/bin:/bin",
        "GOPATH": "/go",
        "GOCACHE": "/tmp/cache",
        "GOPROXY": "file:///go/pkg/mod/cache/download",
        # They were checked when they were downloaded.
        "GOSUMDB": "off",
    }
    settings = " ".join(f'{name}="{value}"' for name, value in environment.items())
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY root /\nENV {settings}\n")
    return context

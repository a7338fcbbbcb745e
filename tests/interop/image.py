"""Builds the Dockerfile, both stages, on a machine without a container engine or a registry of images.

The build image is replaced by a stand-in: this machine's own toolchain, mounted into an empty root. All the rest is
what `docker build .` does. buildah runs it in a chroot, so it must be root.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

# What a release sets: the labels of the image have them.
BUILD_ARGUMENTS = {"SOURCE": "https://example.com/ticker", "VERSION": "1.2.3", "REVISION": "0123abc"}
STAND_IN = "localhost/stand-in"
NAME = "localhost/ticker"


class Image:
    """The image of `root`'s Dockerfile, built under `home`; what can be reused there is."""

    def __init__(self, root, home):
        self.root, self.home = root, home

    def buildah(self, *arguments):
        """The output of a buildah command on a store of our own."""
        command = [
            "buildah",
            "--root",
            self.home / "storage",
            "--runroot",
            self.home / "run",
            "--storage-driver",
            "vfs",
        ]
        ran = subprocess.run([*map(str, command), *map(str, arguments)], capture_output=True, text=True)
        assert ran.returncode == 0, f"buildah {arguments[0]}:\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
        return ran.stdout.strip()

    def build(self):
        """Builds the stand-in and then the Dockerfile as it is."""
        sysroot = output("rustc", "--print", "sysroot")
        registry = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry"
        subprocess.run(["cargo", "fetch", "--quiet", "--locked"], cwd=self.root, check=True)
        target = self.home / "target"
        target.mkdir(parents=True, exist_ok=True)

        build = ["bud", "--isolation", "chroot", "--layers", "--format", "docker"]
        self.buildah(*build, "--tag", STAND_IN, self._stand_in(sysroot))
        mounts = ["/usr:/usr:ro", f"{sysroot}:{sysroot}:ro", f"{registry}:/cargo/registry", f"{target}:/src/target"]
        if Path("/etc/alternatives").exists():
            mounts.append("/etc/alternatives:/etc/alternatives:ro")
        volumes = [part for mount in mounts for part in ("--volume", mount)]
        given = {**BUILD_ARGUMENTS, "BASE": STAND_IN}
        arguments = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
        self.buildah(*build, *volumes, *arguments, "--tag", NAME, self.root)
        return self

    def _stand_in(self, sysroot):
        """The context of an image that holds no file of its own but a package manager with nothing to do."""
        context = self.home / "stand-in"
        shutil.rmtree(context, ignore_errors=True)
        for directory in ("bin.stand-in", "cargo", "etc", "tmp", "usr"):
            (context / "root" / directory).mkdir(parents=True)
        for directory in ("bin", "lib", "lib64", "sbin"):
            (context / "root" / directory).symlink_to(f"usr/{directory}")
        apk = context / "root" / "bin.stand-in" / "apk"
        apk.write_text("#!/bin/sh\n")
        apk.chmod(0o755)
        environment = {
            "PATH": f"/bin.stand-in:{sysroot}/bin:/usr/bin:/bin",
            "HOME": "/tmp",
            "CARGO_HOME": "/cargo",
            "CARGO_NET_OFFLINE": "true",
            **static_target(sysroot),
        }
        settings = " ".join(f'{name}="{value}"' for name, value in environment.items())
        (context / "Dockerfile").write_text(f"FROM scratch\nCOPY root /\nENV {settings}\n")
        return context

    def config(self):
        """What the image says of itself."""
        return json.loads(self.buildah("inspect", "--type", "image", NAME))["Docker"]["config"]

    def unpack(self):
        """The path of a root file system made from the image."""
        container = self.buildah("from", "--pull-never", NAME)
        return Path(self.buildah("mount", container))

    def close(self):
        """Removes what `unpack` made; the image stays."""
        self.buildah("rm", "--all")


def static_target(sysroot):
    """The settings under which this machine's cargo makes a static binary, as Alpine's does by itself."""
    host = re.search(r"^host: (\S+)$", output("rustc", "-vV"), re.MULTILINE).group(1)
    architecture = host.split("-")[0]
    musl = f"{architecture}-unknown-linux-musl"
    if (Path(sysroot) / "lib" / "rustlib" / musl).exists() and shutil.which("musl-gcc"):
        return {"CARGO_BUILD_TARGET": musl, f"CC_{musl.replace('-', '_')}": "musl-gcc"}
    # glibc can be linked in too. With a target named, the flags leave build scripts and macros alone.
    return {"CARGO_BUILD_TARGET": host, "RUSTFLAGS": "-Ctarget-feature=+crt-static"}


def output(*command):
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

"""A nats-server."""

import time

from conftest import tool
from ports import free_address
from processes import Process


class Broker:
    """A nats-server whose store outlives it."""

    def __init__(self, directory, configuration=""):
        directory.mkdir()
        self.program, self.directory, self.address = tool("nats-server"), directory, free_address()
        self.configuration = directory / "nats.conf"
        self.configuration.write_text(configuration)
        self.start()

    def start(self):
        port = self.address.split(":")[1]
        command = [self.program, "-c", self.configuration, "-js", "-a", "127.0.0.1", "-p", port, "-sd", self.directory / "store"]
        self.process = Process(command)
        deadline = time.monotonic() + 20
        while not any("Server is ready" in line for line in self.process.stderr):
            assert time.monotonic() < deadline and self.process.process.poll() is None, str(self.process)
            time.sleep(0.01)

    def kill(self):
        self.process.kill()

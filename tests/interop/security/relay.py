"""A way to a server from an address of its own, because failed authentications count by address."""

import itertools
import socket
import threading

# 127.0.0.1 is for connections without a relay.
SOURCES = (f"127.0.{third}.{fourth}" for third, fourth in itertools.product(range(1, 255), range(1, 255)))


class Relay:
    """Accepts connections, and copies their bytes to and from a server. All of them come from one new address."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target, self.source = (host, int(port)), next(SOURCES)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for one in self.sockets:
            one.close()

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
                server = socket.create_connection(self.target, source_address=(self.source, 0))
            except OSError:
                return
            self.sockets += [accepted, server]
            for one, other in [(accepted, server), (server, accepted)]:
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(one, other):
    try:
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass

"""Ports of servers that are started again, and of those whose port must be known before they start."""

import os
import socket

# Below the ports that the system gives to clients and for port 0: nobody else takes one while its server is down. Each worker of
# pytest-xdist has a thousand of its own.
_FIRST = 21_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_candidates = iter(range(_FIRST, _FIRST + 1_000))


def free_port(addresses=("127.0.0.1",)):
    """A port that is free on all the addresses, and that no other call returns."""
    return next(port for port in _candidates if all(_is_free(address, port) for address in addresses))


def free_address():
    """127.0.0.1 and a free port."""
    return f"127.0.0.1:{free_port()}"


def _is_free(address, port):
    with socket.socket() as probe:
        # As servers do: the connections of one that has ended are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True

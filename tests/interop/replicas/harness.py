"""Several replicas behind one name, and clients that stream from them, each a process that prints what it has lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from processes import Server

HERE = Path(__file__).resolve().parent
NAME = "ticker.test"
# Addresses of loopback that nothing else uses.
NAMESERVER = "127.0.5.3"
ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]


class Names:
    """A DNS server of our own for one name, and a way to run programs that ask it and no other."""

    def __init__(self, home, dnsmasq):
        self.hosts, self.resolver = home / "hosts", home / "resolv.conf"
        self.resolver.write_text(f"nameserver {NAMESERVER}\noptions timeout:1\n")
        self.hosts.write_text("")
        command = [
            dnsmasq,
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            f"--listen-address={NAMESERVER}",
            "--bind-interfaces",
            "--no-resolv",
            "--no-hosts",
            f"--addn-hosts={self.hosts}",
            f"--pid-file={home}/dnsmasq.pid",
            "--user=root",
            "--local=/test/",
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        wait_until(self._answers, 5, lambda: f"dnsmasq does not answer: {self.process.poll()}")

    def _answers(self):
        """Whether it serves: a signal before that would end it."""
        labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
        query = b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(0.2)
            try:
                peer.sendto(query, (NAMESERVER, 53))
                return bool(peer.recv(512))
            except OSError:
                return False

    def set(self, addresses):
        """Makes the name stand for these addresses."""
        self.hosts.write_text("".join(f"{address} {NAME}\n" for address in addresses))
        self.process.send_signal(signal.SIGHUP)

    def command(self, *command):
        """A command that runs with our DNS server in its own mount namespace."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.resolver, *command]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Replica:
    """One server at a fixed address, which can be stopped and started again."""

    def __init__(self, binary, address, port, *options):
        self.address = address
        self.command = [binary, "serve", "--listen", f"{address}:{port}", "--admin", f"{address}:0", *options]
        self.server = None

    def start(self):
        self.server = Listening(self.command)

    def stop(self):
        """Asks it to drain. Returns its exit code and how long it took, in seconds."""
        return self.server.terminate()

    def restart(self):
        code, seconds = self.stop()
        assert code == 0, f"exit code {code}: {self.server}"
        self.start()
        return seconds


class Listening(Server):
    """A server on an address of loopback other than 127.0.0.1."""

    def __init__(self, command):
        # The parent reads lines until there is an address.
        super().__init__(command, pattern=r"127\.0\.0\.\d+:[1-9][0-9]*")


class Fleet:
    """Clients of one kind in one process, which prints a report when its input is closed."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self):
        """Ends the clients, and returns what they report."""
        out, err = self.process.communicate("", timeout=30)
        assert self.process.returncode == 0 and out, f"{self.name}: {err[-2000:]}"
        return json.loads(out)

    def kill(self):
        self.process.kill()
        self.process.communicate()


def go_fleet(names, program, config, port, streams, channels, contract="v1"):
    flags = [f"-target=dns:///{NAME}:{port}", f"-service-config={config}", f"-streams={streams}", f"-channels={channels}"]
    return Fleet("grpc-go" if contract == "v1" else "grpc-go, gogen", names.command(program, *flags, f"-contract={contract}"))


def own_fleet(names, program, binary, port, streams):
    """`ticker watch`, a process for each stream."""
    flags = [f"-own={binary}", f"-target=http://{NAME}:{port}", f"-streams={streams}"]
    return Fleet("ticker", names.command(program, *flags))


def python_fleet(names, descriptors, config, port, streams, channels):
    program = [sys.executable, HERE / "python_client.py", descriptors, f"dns:///{NAME}:{port}", config, streams, channels]
    return Fleet("grpcio", names.command(*program))


def node_fleet(names, folder, protos, config, port, streams, channels):
    program = ["node", folder / "main.js", protos, f"dns:///{NAME}:{port}", config, streams, channels]
    return Fleet("grpc-js", names.command(*program))


def percentile(values, share):
    """A percentile, by the nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def table(reports):
    """The reports as a table in Markdown."""
    lines = [
        "| client | streams | ticks | missing | twice | out of order | silence p50 / p99 / longest | ends by code | calls | failed |",
        "| --- | --: | --: | --: | --: | --: | --: | --- | --: | --- |",
    ]
    for name, found in reports.items():
        silences = found["silences"]
        times = [percentile(silences, 0.5), percentile(silences, 0.99), max(silences, default=float("nan"))]
        codes = ", ".join(f"{code} {count}" for code, count in sorted(found.get("codes", {}).items()))
        failed = ", ".join(f"{text} {count}" for text, count in found.get("failed_calls", {}).items())
        lines.append(
            f"| {name} | {found['streams']} | {found['ticks']} | {found['missing']} | {found['twice']} |"
            f" {found['out_of_order']} | {' / '.join(f'{time:.0f}' for time in times)} ms | {codes} |"
            f" {found.get('calls', '–')} | {failed or 0} |"
        )
    return "\n".join(lines)


def wait_until(what, seconds, text):
    """Waits until a claim holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, text() if callable(text) else text
        time.sleep(0.1)


LONG = os.environ.get("REPLICAS") == "long"

"""Runs the commands of a page as someone who pastes them one after another."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time

import image
from conftest import TOOLS
from output import fits, parse
from ports import free_port
from processes import Process
from typewriter import Typewriter

# What would build a program that is built already.
BUILT = {
    r"^cargo run --release( --)?": "target/release/ticker",
    r"^cargo run --manifest-path examples/chat/rust/Cargo.toml --": "chat-rust",
    r"^go -C examples/chat/go run \.": "chat-go",
}
SERVER = re.compile(r"([A-Z_]+=\S+ )*((ticker|target/release/ticker)( serve\b| --|$)|chat-\w+ server\b)")
ENDLESS = re.compile(r'(TickerStream|Watch)$|^curl -sN |^ticker watch (?!.*(-n |--count |--to |\|))', re.DOTALL)
# What is printed of the past is the same for ever.
OF_THE_PAST = re.compile(r'"end_time"|^ticker watch .*--to ', re.DOTALL)
FAILED = re.compile(r"^(error|ERROR):|\bdiffers?$", re.MULTILINE)
ASSIGNMENT = re.compile(r"(\w+)=\$\(")
PORT = re.compile(r"(?<=:)500[5-9]\d\b")

# Where prepare puts commands.
PATHS = [TOOLS / place for place in ("bin", "client-python/bin", "venv/bin", "cargo/bin", "npm/node_modules/.bin")]

# Time for a command that ends by itself, and for what a page shows of one that does not.
PATIENCE = 30


class Ports:
    """Free ports in place of those that the pages name."""

    def __init__(self):
        self.ours = {}

    def of(self, documented):
        """The port that stands for a documented one."""
        if documented not in self.ours:
            self.ours[documented] = str(free_port())
        return self.ours[documented]

    def ours_in(self, text):
        """The text with our ports."""
        return PORT.sub(lambda match: self.of(match.group()), text)

    def documented_in(self, text):
        """The text with the ports of the pages."""
        for documented, ours in self.ours.items():
            text = text.replace(f":{ours}", f":{documented}")
        return text


class Paster:
    """Someone who pastes the commands of one page, in a directory of their own."""

    def __init__(self, directory, binary):
        self.directory = directory
        self.ports = Ports()
        self.servers = {}
        self.assignments = ""
        for name in ("bin/ticker", "target/release/ticker"):
            (directory / name).parent.mkdir(parents=True)
            (directory / name).symlink_to(binary)
        # Pages about other languages are pasted at the top of the repository: here, of the copy that prepare has built.
        for name in ("clients", "docs", "examples", "proto"):
            if (TOOLS / "checkout" / name).exists():
                (directory / name).symlink_to(TOOLS / "checkout" / name)
        self.environment = {
            "PATH": ":".join(map(str, [directory / "bin", *PATHS, os.environ["PATH"]])),
            # HOME is another one, and what was downloaded and built is kept.
            **{name: image.output("go", "env", name) for name in ("GOCACHE", "GOMODCACHE") if shutil.which("go")},
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            # The default ports of `ticker`.
            "TICKER_ADMIN": "127.0.0.1:0",
            "TICKER_LISTEN": self.ports.ours_in("127.0.0.1:50051"),
            "TICKER_ENDPOINT": self.ports.ours_in("http://127.0.0.1:50051"),
        }

    def paste(self, command):
        """Runs one command, and checks what it prints."""
        line = command.line
        for builds, program in BUILT.items():
            line = re.sub(builds, program, line)
        goes_on = ENDLESS.search(line) and not OF_THE_PAST.search(line)
        if SERVER.match(line) and not command.output.startswith("error"):
            self.serve(line, command.output)
        elif goes_on and command.output.startswith("SYMBOL"):
            self.look_at_table(line, command.output)
        elif assigned := ASSIGNMENT.match(line):
            _, value = self.finish(f"{line}\ndeclare -p {assigned.group(1)}")
            assert '=""' not in value, value
            self.assignments += value
        elif goes_on:
            with self.start(line) as process:
                self.wait_for(command.output, process)
                assert process.process.poll() is None, f"it must go on: {process}"
                end(process)
        else:
            code, printed = self.finish(line)
            assert (code != 0) == bool(FAILED.search(command.output)), f"exit code {code}: {printed}"
            if OF_THE_PAST.search(line):
                assert printed.strip() == command.output.strip()
            else:
                shown = parse(command.output.strip())
                assert not shown or fits(shown, parse(printed.strip()), ended=True), f"\n{printed}\nis not\n{command.output}"

    def start(self, line, before="exec 2>&1"):
        """Starts a line of bash in a process group of its own. By default its errors are among its output."""
        script = f"{before}\n{self.assignments}\n{self.ports.ours_in(line)}"
        return Process(["bash", "-c", script], cwd=self.directory, env=self.environment, start_new_session=True)

    def finish(self, line):
        """The exit code of a line of bash, and all that it prints."""
        with self.start(line) as process:
            code = process.wait(PATIENCE)
            return code, self.ports.documented_in("".join(process.stdout))

    def wait_for(self, output, process):
        """Reads on until what is shown has been printed."""
        deadline = time.monotonic() + PATIENCE
        shown, printed = parse(output.strip()), []
        while not (printed if not shown else fits(shown, printed, ended=False)):
            try:
                process.line(max(0.01, deadline - time.monotonic()))
            except AssertionError as error:
                raise AssertionError(f"{error}\nis not\n{output}") from None
            printed = parse(self.ports.documented_in("".join(process.stdout)))

    def serve(self, line, output):
        """Starts a server, in place of the one that has its port."""
        (port,) = re.findall(r"--listen \S+:(\d+)", line) or ["50051"]
        if port in self.servers:
            self.stop(port)
        # Pages show what a server prints, not what it logs, except where that is JSON.
        self.servers[port] = self.start(line, before="exec 2>&1" if output.startswith("{") else "")
        self.wait_for(output, self.servers[port])

    def stop(self, port):
        """Stops the server on a port, which must have served until now."""
        server = self.servers.pop(port)
        assert server.process.poll() is None, f"it has ended: {server}"
        end(server)
        assert "panicked" not in "".join(server.stderr), str(server)

    def look_at_table(self, line, output):
        """Shows a live table on a terminal until it has every row of the page."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        watching = subprocess.Popen(
            ["bash", "-c", self.ports.ours_in(line)],
            cwd=self.directory,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        rows = [shown.split()[0].encode() for shown in self.ports.ours_in(output).splitlines()]
        user = Typewriter(ours)
        try:
            user.read_until(lambda: all(row in user.shown for row in rows), PATIENCE)
            user.press(b"q")
            user.read_until(lambda: watching.poll() is not None and not select.select([ours], [], [], 0)[0])
            assert watching.returncode == 0, user.shown
        finally:
            watching.kill()
            watching.wait()
            os.close(theirs)
            os.close(ours)

    def close(self):
        """Stops all servers."""
        for port in list(self.servers):
            self.stop(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            end(server)


def end(process):
    """Ends a line of bash with all that it started."""
    if process.process.poll() is None:
        os.killpg(process.process.pid, signal.SIGTERM)
    process.wait(5)

"""The Markdown pages: every command runs as it is pasted and prints what the page shows, and every link leads somewhere."""

import os
import pty
import re
import signal
import socket
import subprocess
import termios
import time

import pytest

from conftest import ROOT, TOOLS
from markdown import Page, commands
from output import fits, parse
from processes import Process

PAGES = [
    Page(path)
    for place in sorted(ROOT.iterdir())
    if place.name != "target"
    for path in ([place] if place.suffix == ".md" else sorted(place.rglob("*.md")))
]

# Commands that are not run here, and why.
NOT_RUN = {
    r"cargo install --path \.": "`ticker` in PATH is the binary under test",
    r"cargo (build|test|clippy|fmt)\b": "builds and tests the project, as .ci/run does itself",
    r"cargo bench\b": "takes minutes and needs an idle machine",
    r"just\b": "runs this suite or one that takes longer",
    r"docker\b": "needs a container engine; test_image.py builds and runs the image without one",
    r"kubectl apply\b": "needs a cluster; test_k8s.py checks the manifests",
}
# Fences that hold no commands.
INERT = {"csv", "json", "proto", "rust", "text", "toml"}

SERVER = re.compile(r"([A-Z_]+=\S+ )*(ticker|target/release/ticker)( serve\b| --|$)")
ENDLESS = re.compile(r'(TickerStream|Watch)$|^ticker watch (?!.*(-n |--count |--to |\|))', re.DOTALL)
# What is printed of the past is the same for ever.
OF_THE_PAST = re.compile(r'"end_time"|^ticker watch .*--to ', re.DOTALL)
FAILED = re.compile(r"^error|not the same", re.MULTILINE)
ASSIGNMENT = re.compile(r"(\w+)=\$\(")
PORT = re.compile(r"(?<=:)500[5-9]\d\b")

# Time for a command that ends by itself, and for what a page shows of one that does not.
PATIENCE = 30


class Ports:
    """Free ports in place of those that the pages name. They are below the ports that the system gives to clients."""

    def __init__(self):
        self.free = iter(range(21_000, 32_000))
        self.ours = {}

    def of(self, documented):
        """The port that stands for a documented one."""
        while documented not in self.ours:
            candidate = next(self.free)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", candidate))
                    self.ours[documented] = str(candidate)
                except OSError:
                    pass
        return self.ours[documented]

    def ours_in(self, text):
        """The text with our ports."""
        return PORT.sub(lambda match: self.of(match.group()), text)

    def documented_in(self, text):
        """The text with the ports of the pages."""
        for documented, ours in self.ours.items():
            text = text.replace(f":{ours}", f":{documented}")
        return text


class Terminal:
    """Someone who pastes the commands of one page, one after another, in a directory of their own."""

    def __init__(self, directory, binary):
        self.directory = directory
        self.ports = Ports()
        self.servers = {}
        self.assignments = ""
        for name in ("bin/ticker", "target/release/ticker"):
            (directory / name).parent.mkdir(parents=True)
            (directory / name).symlink_to(binary)
        self.environment = {
            "PATH": f"{directory / 'bin'}:{TOOLS / 'bin'}:{os.environ['PATH']}",
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            # The default ports of `ticker`.
            "TICKER_LISTEN": self.ports.ours_in("127.0.0.1:50051"),
            "TICKER_ENDPOINT": self.ports.ours_in("http://127.0.0.1:50051"),
        }

    def paste(self, command):
        """Runs one command, and checks what it prints."""
        # `cargo run` would build the binary that we have.
        line = re.sub(r"^cargo run --release( --)?", "target/release/ticker", command.line)
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
        # Pages show what a server prints, not what it logs.
        self.servers[port] = self.start(line, before="")
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
        os.close(theirs)
        rows = [shown.split()[0] for shown in self.ports.ours_in(output).splitlines()]
        drawn, deadline, quits = "", time.monotonic() + PATIENCE, False
        try:
            while True:
                drawn += os.read(ours, 65_536).decode(errors="replace")
                if not quits and all(row in drawn for row in rows):
                    os.write(ours, b"q")
                    quits = True
                assert time.monotonic() < deadline, f"{rows} are not all in {drawn!r}"
        except OSError:
            # The command has closed the terminal.
            assert (quits, watching.wait(5)) == (True, 0), drawn
        finally:
            watching.kill()
            watching.wait()
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


def reason_not_to_run(command):
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.line)), None)


def commands_in(block):
    return commands(block.text) if block.language == "console" else []


def commands_of(page):
    return [command for block in page.blocks() for command in commands_in(block)]


def names(pages):
    return [str(page.path.relative_to(ROOT)) for page in pages]


WITH_COMMANDS = [page for page in PAGES if any(not reason_not_to_run(command) for command in commands_of(page))]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=names(WITH_COMMANDS))
@pytest.mark.usefixtures("grpcurl")
def test_every_command_runs_as_it_is_pasted(page, binary, tmp_path):
    with Terminal(tmp_path, binary) as terminal:
        for block in page.blocks():
            if block.file and block.language != "rust":
                (tmp_path / block.file).write_text(block.text)
            for command in commands_in(block):
                if not reason_not_to_run(command):
                    terminal.paste(command)
        terminal.close()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_are_in_console_blocks(page):
    for block in page.blocks():
        assert block.language in {"console", *INERT}, f"a reader of {block.text!r} cannot tell whether it is a command"
        assert block.language == "console" or not re.search(r"^\$ ", block.text, re.MULTILINE), block.text
    indented = re.findall(r"^ {4}(?:cargo|ticker|grpcurl|just|docker|kubectl) .*", page.prose(), re.MULTILINE)
    assert not indented, "a command belongs in a console block"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_rust_code_is_that_of_an_example(page):
    for block in page.blocks():
        if block.language == "rust":
            assert block.file, f"no compiler sees {block.text!r}: name the example that has it"
            example = (ROOT / block.file).read_text().splitlines()
            lines = [line.strip() for line in block.text.splitlines()]
            assert "\n".join(lines) in "\n".join(line.strip() for line in example), block.file


def test_each_reason_not_to_run_a_command_is_needed():
    lines = [command.line for page in PAGES for command in commands_of(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page):
    assert list(page.broken_links()) == []


def test_the_readme_is_short():
    assert len(Page(ROOT / "README.md").text.splitlines()) <= 180

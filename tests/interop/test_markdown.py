"""The Markdown pages: every command runs as it is pasted and prints what the page shows, and every link leads somewhere."""

import re
import subprocess

import pytest

from conftest import ROOT
from markdown import Page, commands
from pasting import Paster

PAGES = [
    Page(path)
    for place in sorted(ROOT.iterdir())
    if place.name != "target"
    for path in ([place] if place.suffix == ".md" else sorted(place.rglob("*.md")))
    if "node_modules" not in path.parts
]

# Commands that are not run here, and why.
NOT_RUN = {
    r"cargo install --path \.": "`ticker` in PATH is the binary under test",
    r"cargo install --locked protoc-gen": "takes a minute; tests/interop/prepare does it",
    r"cargo (build|test|clippy|fmt)\b": "builds and tests the project, as .ci/run does itself",
    r"cargo bench\b": "takes minutes and needs an idle machine",
    r"just\b": "runs this suite or one that takes longer",
    r"buf build proto\b": "replaces the contract of the last release",
    r"np[mx]\b": "builds the board or the client for Node.js, as .ci/run does itself",
    r"pip install\b": "tests/interop/prepare does it",
    r"mvn\b": "builds the client in Java, as tests/interop/prepare does",
    r"nats-server\b": "takes its default port; test_feed_nats.py runs one on a free port",
    r"ticker serve --feed nats:": "needs the server of the command before",
    r"docker\b": "needs a container engine; test_image.py builds and runs the image without one",
    r"kubectl apply\b": "needs a cluster; test_k8s.py checks the manifests",
}
# Fences that hold no commands.
INERT = {"csv", "go", "java", "json", "proto", "python", "rust", "text", "toml", "typescript", "yaml"}

# Fences that only ever hold code of a file of this repository, which they name.
OF_EXAMPLES = {"go", "java", "rust", "typescript"}


def is_excerpt(block):
    """Whether a fence holds lines of a file of this repository; the others that name a file show one to save."""
    return block.language in OF_EXAMPLES or (block.file and (ROOT / block.file).is_file())


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
    with Paster(tmp_path, binary) as paster:
        for block in page.blocks():
            if block.file and not is_excerpt(block):
                (tmp_path / block.file).write_text(paster.ports.ours_in(block.text))
            for command in commands_in(block):
                if not reason_not_to_run(command):
                    paster.paste(command)
        paster.close()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_are_in_console_blocks(page):
    for block in page.blocks():
        assert block.language in {"console", *INERT}, f"a reader of {block.text!r} cannot tell whether it is a command"
        assert block.language == "console" or not re.search(r"^\$ ", block.text, re.MULTILINE), block.text
    indented = re.findall(r"^ {4}(?:cargo|ticker|grpcurl|just|docker|kubectl) .*", page.prose(), re.MULTILINE)
    assert not indented, "a command belongs in a console block"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_code_is_that_of_an_example(page):
    for block in page.blocks():
        if is_excerpt(block):
            assert block.file, f"no compiler sees {block.text!r}: name the example that has it"
            example = (ROOT / block.file).read_text().splitlines()
            lines = [line.strip() for line in block.text.splitlines()]
            assert "\n".join(lines) in "\n".join(line.strip() for line in example), block.file


def test_each_reason_not_to_run_a_command_is_needed():
    lines = [command.line for page in PAGES for command in commands_of(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []


def test_the_page_on_configuration_has_every_option_of_the_server(binary):
    help = subprocess.run([binary, "serve", "--help"], check=True, capture_output=True, text=True).stdout
    options = dict(zip(re.findall(r"^ {6}(--[a-z-]+)", help, re.MULTILINE), re.findall(r"\bTICKER_[A-Z_]+(?==)", help)))
    assert "--listen" in options
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `(TICKER_[A-Z_]+)` \|", Page(ROOT / "docs/CONFIGURATION.md").text, re.MULTILINE)
    assert dict(rows) == options


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page):
    assert list(page.broken_links()) == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_no_part_of_a_page_is_there_twice(page):
    parts = page.parts()
    assert len(parts) == len(set(parts)), parts


def test_the_readme_is_short():
    assert len(Page(ROOT / "README.md").text.splitlines()) <= 180

"""Markdown pages: their commands, files, links and headings."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """A fenced block. `file` is the name behind the language, as in `toml instruments.toml`: the file that it shows."""

    language: str
    file: str
    text: str


@dataclass
class Command:
    """A command as it is pasted, and what the page shows below it."""

    line: str
    output: str = ""


@dataclass
class Page:
    """One Markdown file."""

    path: Path
    text: str = field(init=False)

    def __post_init__(self):
        self.text = self.path.read_text()

    def blocks(self):
        """The fenced blocks, in their order."""
        for info, text in FENCE.findall(self.text):
            language, _, file = info.strip().partition(" ")
            yield Block(language, file, text)

    def prose(self):
        """The text without fenced blocks and code spans."""
        return re.sub(r"`[^`\n]*`", "", FENCE.sub("", self.text))

    def parts(self):
        """The headings of the second level."""
        return re.findall(r"^## (.*)$", FENCE.sub("", self.text), re.MULTILINE)

    def links(self):
        """The targets of all links."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose())

    def anchors(self):
        """The anchors of the headings, as GitHub makes them."""
        found = []
        for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", self.text), re.MULTILINE):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            count = sum(other == anchor or re.fullmatch(re.escape(anchor) + r"-\d+", other) is not None for other in found)
            found.append(f"{anchor}-{count}" if count else anchor)
        return found

    def broken_links(self):
        """The links to files and headings that do not exist."""
        for link in self.links():
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (self.path.parent / name).resolve() if name else self.path
            if not target.exists() or (anchor and anchor not in Page(target).anchors()):
                yield link


def commands(text):
    """The commands of a console block: `$ ` begins one, `\\` at its end goes on with it, and its output follows."""
    found, going_on = [], False
    for line in text.splitlines():
        if going_on:
            found[-1].line += "\n" + line
        elif line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        else:
            assert found, f"a console block must begin with a command, not with {line!r}"
            found[-1].output += line + "\n"
            continue
        going_on = line.endswith("\\")
    return found

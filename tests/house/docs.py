"""The documentation as the house tests read it: pages, their links, their code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer

from lab.cli.app import app
from tests.house.tree import ROOT

DOCS = ROOT / "docs"
README = ROOT / "README.md"
COMMAND = typer.main.get_group(app)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    file: Path
    line: int  # of its first line of code
    language: str
    text: str

    @property
    def place(self) -> str:
        """file:line, as errors give it."""
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page: README, CHANGELOG, CONTRIBUTING and what is in docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


@cache
def text(page: Path) -> str:
    """A page's text, empty if it is not there."""
    return page.read_text(encoding="utf-8") if page.is_file() else ""


def blocks(*languages: str) -> Iterator[Block]:
    """Every fenced block in one of these languages."""
    for page in pages():
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text(page), re.M | re.S):
            if found[1] in languages:
                line = text(page).count("\n", 0, found.start(2)) + 1
                yield Block(page, line, found[1], found[2])


def links(page: Path) -> Iterator[tuple[int, str]]:
    """Line and target of each link and picture that leads into the tree."""
    for number, line in enumerate(text(page).splitlines(), 1):
        for found in re.finditer(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", line):
            target = found[1] or found[2]
            if not re.match(r"[a-z]+:", target):
                yield number, target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    heads = re.findall(r"^#+ (.+)$", text(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def words(page: Path) -> str:
    """A page's text with every run of white space as one space, to look for sentences in."""
    return " ".join(text(page).split())


def parse_command(place: str, arguments: list[str]) -> None:
    """Parse a command line without carrying it out."""
    while arguments and arguments[0] == "--debug":
        arguments = arguments[1:]
    if arguments and arguments[0] in ("--help", "--version"):
        return
    command = COMMAND.commands.get(arguments[0])
    assert command is not None, f"{place}: there is no verb {arguments[0]!r}"
    if "--help" in arguments:
        return
    end = next((arguments.index(sign) for sign in ("|", ">", "&&") if sign in arguments), len(arguments))
    try:
        command.make_context(f"xmpplab {command.name}", arguments[1:end])
    except typer.TyperException as error:
        raise AssertionError(f"{place}: {error.format_message()}") from error

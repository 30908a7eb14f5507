"""A text with places: plain data as YAML gives it, and the line and column of every key and value in it.

The nodes are composed, not constructed: that preserves every position, finds all duplicate keys instead of the first,
and never builds anything but text, numbers, booleans, lists and mappings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lab.topology.guarded_parser import GuardedParser, TooMuch, find_excess_link
from lab.topology.limits import MAX_LINKS

Steps = tuple[str | int, ...]

# What the parser says, and what people did.
_HINTS = {
    "mapping values are not allowed here": "a second colon in the line, or an indentation that does not fit: put text "
    "with a colon in quotes, and indent like the lines above",
    "cannot start any token": "YAML does not know this character here: indent with spaces instead of tabs, and put "
    "text that starts with a sign such as @ or ` in quotes",
    "could not find expected ':'": "a key without a colon: write `key: value`",
    "found another document": "a second document starts here: one file holds one topology, remove the ---",
    "did not find expected <document start>": "something stands behind the end of the topology: is it indented right?",
    "found undefined alias": "this alias has no anchor: write the value out",
    "found unexpected end of stream": "a quote is not closed",
    "expected <block end>": "the indentation does not fit the lines above",
}


_LONGEST = 1000  # characters of a message: a value in it may be as long as the file


@dataclass(frozen=True, order=True)
class Problem:
    """One error. Ordered by its position; `line` is 0 where the text is no file but an argument of one line."""

    source: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else f"{self.source}:{self.column}"
        text = (f"{self.path}: {self.message}" if self.path else self.message).replace("\n", "\\n")  # one line
        return f"{place}: {text}" if len(text) <= _LONGEST else f"{place}: {text[:_LONGEST]}…"


def show(path: Iterable[str | int]) -> str:
    """A path as it is written in errors: links[0].latency."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass
class Document:
    """Data with places. `problems` are those found while reading; others may be added with `problem`."""

    source: str
    data: object = None
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: Steps, message: str, *, key: bool = False) -> None:
        """Note what is wrong at a path; with `key` the place is that of the key, not of its value."""
        line, column = self.where(path, key=key)
        self.problems.append(Problem(self.source, line, column, self.show(path), message))

    def where(self, path: Steps, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at the path, or of the nearest value that contains it."""
        node = self.root
        mark = node.start_mark if node is not None else None
        for depth, step in enumerate(path, start=1):
            found = _child(node, step)
            if found is None:
                break
            name, node = found
            mark = (name if key and depth == len(path) and name is not None else node).start_mark
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)

    def show(self, path: Steps) -> str:
        """The path as the reader of this document knows it."""
        return show(path)

    def how_many(self, kind: str) -> str:
        """How to say here of how many servers a shape is made."""
        return f"say how many, as in `{{kind: {kind}, servers: 6}}`"


def read(source: str, text: str) -> Document:
    """Parse YAML. Its errors are in `problems`; `data` is None if nothing could be read."""
    document = Document(source)
    if place := find_excess_link(text):
        document.problems.append(Problem(source, *place, "", f"more than {MAX_LINKS} links, which no lab can hold"))
        return document
    yaml = YAML()
    yaml.Parser = GuardedParser
    try:
        document.root = yaml.compose(StringIO(text))
    except TooMuch as error:
        mark = error.mark
        document.problems.append(Problem(source, mark.line + 1, mark.column + 1, "", str(error)))
    except MarkedYAMLError as error:
        document.problems.append(_syntax(source, error))
    except YAMLError as error:
        document.problems.append(Problem(source, 1, 1, "", f"this is not YAML: {error}"))
    else:
        document.data = _Reader(document).plain(document.root, ())
    return document


def _syntax(source: str, error: MarkedYAMLError) -> Problem:
    problem, context = str(error.problem or ""), str(error.context or "")
    mark = error.problem_mark or error.context_mark
    hint = next((hint for start, hint in _HINTS.items() if start in problem), "")
    if "flow" in context and "expected" in problem:
        mark, hint = error.context_mark or mark, "this bracket is not closed, or a comma is missing"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Problem(source, line, column, "", f"this is not YAML: {hint or problem}")


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node] | None:
    """Key node (None in a list) and value node below `node`."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


class _Reader:
    """Turns nodes into plain data, once per node, so that aliases cannot blow it up."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.done: dict[int, object] = {}
        self.open: set[int] = set()

    def plain(self, node: Node | None, path: Steps) -> object:
        """The data of a node. Raises nothing: problems go to the document."""
        if node is None or isinstance(node, ScalarNode):
            return None if node is None else self._scalar(node, path)
        if id(node) in self.open:
            self.document.add(path, "contains itself: write the value out instead of the alias")
            return None
        if id(node) not in self.done:
            self.open.add(id(node))
            read = self._mapping if isinstance(node, MappingNode) else self._sequence
            self.done[id(node)] = read(node, path)
            self.open.discard(id(node))
        return self.done[id(node)]

    def _scalar(self, node: ScalarNode, path: Steps) -> object:
        self._check_characters(node, path)
        return _scalar(node)

    def _check_characters(self, node: ScalarNode, path: Steps) -> None:
        """A text with half a surrogate pair, as `\\ud800` in quotes makes it, cannot be written anywhere."""
        if half := next((one for one in str(node.value) if "\ud800" <= one <= "\udfff"), None):
            mark = node.start_mark
            message = f"U+{ord(half):04X} is half a character (a surrogate): remove it"
            self.document.problems.append(
                Problem(self.document.source, mark.line + 1, mark.column + 1, show(path), message)
            )

    def _sequence(self, node: Node, path: Steps) -> list[object]:
        return [self.plain(child, (*path, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: Node, path: Steps) -> dict[str, object]:
        data: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, mark = key.value, key.start_mark
            place = self.document.source, mark.line + 1, mark.column + 1
            if not isinstance(key, ScalarNode):
                self.document.problems.append(Problem(*place, show(path), "a key must be text, not a list or mapping"))
            elif name in data:
                message = f"duplicate key, first given in line {lines[name]}: remove one of the two"
                self.document.problems.append(Problem(*place, show((*path, name)), message))
            else:
                lines[name] = mark.line + 1
                self._check_characters(key, (*path, name))
                data[name] = self.plain(value, (*path, name))
        return data


def _scalar(node: ScalarNode) -> object:
    tag, text = str(node.tag).rpartition(":")[2], str(node.value)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    try:
        if tag == "int":
            return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2].lower() in ("0x", "0o") else 10)
        if tag == "float":
            return float(text.replace("_", ""))
    except ValueError:  # .inf, .nan, sexagesimal and the like: no field takes them, their text makes the better error
        pass
    return text

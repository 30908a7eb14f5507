"""Topologies from files, from names, and from one-line shapes, with all that is wrong said at once.

    load("topologies/mine.yaml")    a file
    load("mine.graphml"), load("mine.edges")    a graph
    load("hidden-island")           one that ships with xmpplab, from any folder
    load("ring:6,software=prosody+ejabberd")    a shape
    load("mixed-pair,users=6")      a name or a file, with other values than it says

Each error is a line `file:line:column: path: what is wrong, what to change`; for a shape `'ring:6':column: …`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from lab import packaged
from lab.errors import NotApplicable, UserError
from lab.input_files import read_regular
from lab.topology import faults, graph_files, references, shorthand, software, spec
from lab.topology.build import build
from lab.topology.document import Document, Problem, Steps, read
from lab.topology.explanation import explain
from lab.topology.limits import MAX_BYTES
from lab.topology.model import CustomFile, FaultsFile, TopologyFile
from lab.topology.shape import Misfit
from lab.topology.shapes import KINDS
from lab.topology.words import list_choices, suggest

_EMPTY = "the file is empty: write `servers` and `links`, or `shape: {kind: ring, servers: 6}`"

_TOPOLOGY = "a topology"
_NAME = r"[A-Za-z0-9_-]+"


def list_names() -> tuple[str, ...]:
    """Names of the topologies that ship with xmpplab."""
    return packaged.list_names("topologies", ".yaml")


def load(source: str | Path) -> spec.Topology:
    """Read a topology: the path of a file, the name of a committed one, or a shape such as `ring:6`.

    Behind a name or a path `,key=value` may follow: the value then holds for all servers or links.

    Raises UserError with a line for everything that is wrong.
    """
    if isinstance(source, str):
        if not source.strip():
            raise UserError(
                f"no topology is named: give a file, a shape such as ring:6, or one of {list_choices(list_names())}"
            )
        head, comma, _ = source.partition(",")
        if comma and (path := _overridden(source, head)):
            return _judge_overridden(path, source, head)
        path = _path(source)
        if path is None:
            document = shorthand.read(source)
            return _judge(document, Path(), re.sub(r"[:,].*", "", source) + _size(document))
        source = path
    return _judge(_read(source), source.parent, _name(source))


def make_absolute(source: str) -> str:
    """The source of a topology as it can be given in any folder: a path becomes absolute, what follows it is kept."""
    head = source.partition(",")[0]
    if "/" not in head and not head.endswith(shorthand.SUFFIXES):
        return source
    file = source if Path(source).is_file() else head
    return f"{Path(file).absolute()}{source[len(file) :]}"


def load_custom(path: Path) -> spec.Custom:
    """Read the description of a software of one's own. Raises UserError with a line for everything that is wrong."""
    path = path.absolute()
    document = _read(path)
    custom = _custom(document, path)
    if custom is None:
        raise UserError("\n".join(map(str, sorted(document.problems))))
    return custom


def load_all(sources: Iterable[str | Path]) -> list[spec.Topology]:
    """Read several topologies, in their order. Raises UserError with what is wrong with all of them, at once."""
    topologies, wrong = [], []
    for source in sources:
        try:
            topologies.append(load(source))
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("\n".join(wrong))
    return topologies


def _overridden(text: str, head: str) -> Path | None:
    """The file in front of the first comma, None if there is none and the text is something else."""
    if Path(text).is_file():
        return None
    if "/" in head or head.endswith(shorthand.SUFFIXES):
        return Path(head)
    if head in KINDS and not KINDS[head].model_fields["servers"].is_required():
        return None  # a shape that needs no number of servers: a pair
    return packaged.find("topologies", head, ".yaml") if re.fullmatch(_NAME, head) else None


def _judge_overridden(path: Path, text: str, head: str) -> spec.Topology:
    file = _read(path)
    shape = file.data.get("shape") if isinstance(file.data, dict) else None
    overrides = shorthand.read_overrides(text, head, shape)
    return _judge(shorthand.OverriddenDocument(file, overrides), path.parent, _name(path))


def load_faults(path: str | Path, topologies: Sequence[spec.Topology] = ()) -> tuple[spec.FaultSpec, ...]:
    """Read a file of declared faults, and check them on each of these topologies.

    Raises UserError with a line for everything that is wrong.
    """
    document = _read(Path(path), "a list of faults")
    specs: tuple[spec.FaultSpec, ...] = ()
    if document.data is None:
        if not document.problems:
            document.add((), "the file is empty: write `faults: [{action: partition, groups: [[a]], at: 5s}]`")
    else:
        try:
            FaultsFile.model_validate(document.data)
        except ValidationError as error:
            explain(document, error, lambda steps, _: FaultsFile if steps == () else None)
        specs = _faults(document, topologies)
    if document.problems:
        raise UserError("\n".join(map(str, dict.fromkeys(sorted(document.problems)))))
    return specs


def _faults(document: Document, topologies: Sequence[spec.Topology]) -> tuple[spec.FaultSpec, ...]:
    """The declared faults of a document; what is wrong with them becomes its problems."""
    data = document.data
    if not isinstance(data, dict) or "faults" not in data:
        return ()

    def add(path: Steps, message: str, *, key: bool = False) -> None:
        document.add(("faults", *path), message, key=key)

    before = len(document.problems)
    specs = faults.read(data["faults"], add)
    if len(document.problems) > before:
        return ()
    for topology in topologies:
        for index, one in enumerate(specs):
            try:
                faults.check(one, topology, lambda path, message, *, key=False, at=index: add((at, *path), message))
            except NotApplicable as error:
                add((index,), f"{error} in {topology.name}")
    return specs


def _path(text: str) -> Path | None:
    """The file that is meant, None for a shape. Raises UserError if there is none of that name."""
    path = Path(text)
    if "/" in text.split(",", maxsplit=1)[0] or (text.endswith(shorthand.SUFFIXES) and "," not in text):
        return path
    name = text.partition(",")[0]
    if re.fullmatch(_NAME, name):
        if name == text and (found := packaged.find("topologies", text, ".yaml")):
            return found
        if path.is_file():
            return path
        if name not in KINDS:
            near = suggest(name, [*list_names(), *KINDS], otherwise=f": known are {list_choices(list_names())}")
            raise UserError(f"no topology '{name}'{near} (or give a file, or a shape such as ring:6)")
    if shorthand.is_short(text):
        return None
    return path


def _size(document: Document) -> str:
    shape = document.data.get("shape") if isinstance(document.data, dict) else None
    return f"-{shape['servers']}" if isinstance(shape, dict) and "servers" in shape else ""


def _name(path: Path) -> str:
    """A topology without a name has that of its file, as a DNS label."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).lstrip("-0123456789").rstrip("-") or "topology"


def _read(path: Path, what: str = _TOPOLOGY) -> Document:
    try:
        parse = graph_files.read if graph_files.is_graph(path) and what == _TOPOLOGY else read
        return parse(str(path), read_regular(path, MAX_BYTES, what).decode("utf-8"))
    except FileNotFoundError:
        known = suggest(path.stem, list_names(), otherwise="") if what == _TOPOLOGY else ""
        raise UserError(f"{path}: there is no such file{known}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:1:1: this is not UTF-8 text (byte {error.start}): save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _judge(document: Document, folder: Path, name: str) -> spec.Topology:
    """The topology of a document. Raises UserError with all its problems."""
    unreadable = document.data is None and bool(document.problems)
    file = None if unreadable else _validate(document)
    references.check(document)
    customs, problems = _customs(document, folder)
    topology = None
    if file is not None and not document.problems and not problems:
        topology = _build(document, file, name, customs)
    if topology is not None:
        references.check_features(document, topology)
    declared = _faults(document, [topology] if topology is not None else [])
    if document.problems:
        topology = None
    if topology is None:
        raise UserError("\n".join(map(str, dict.fromkeys([*sorted(document.problems), *problems]))))
    return replace(topology, faults=declared)


def _validate(document: Document) -> TopologyFile | None:
    if document.data is None:
        document.add((), _EMPTY)
        return None
    try:
        return TopologyFile.model_validate(document.data)
    except ValidationError as error:
        explain(document, error)
        return None


def _build(document: Document, file: TopologyFile, name: str, customs: dict[str, spec.Custom]) -> spec.Topology | None:
    """The topology, or None if its shape cannot be drawn, which is then a problem of the document."""
    try:
        return build(file, name, customs)
    except Misfit as error:
        document.add(("shape", error.field), str(error))
        return None


def _customs(document: Document, folder: Path) -> tuple[dict[str, spec.Custom], list[Problem]]:
    """Descriptions of one's own softwares by their path as written, and what is wrong with them."""
    found: dict[str, spec.Custom] = {}
    problems: list[Problem] = []
    for path, text in _files(document.data):
        if text in found:
            continue
        from_here = document.where(path)[0] == 0
        place = Path(os.path.normpath(text if from_here else folder / text))
        try:
            described = _read(place)
        except UserError as error:
            document.add(
                path,
                f"{str(error).removeprefix(f'{place}: ')} at {place}: give the path from "
                f"{'the current folder' if from_here else 'the folder of this file'}",
            )
            continue
        custom = _custom(described, place)
        problems += sorted(described.problems)
        if custom is not None:
            found[text] = custom
    return found, problems


def _files(data: object) -> list[tuple[Steps, str]]:
    """Where the software is the path of a file."""
    if not isinstance(data, dict):
        return []
    places: list[tuple[Steps, object]] = []
    for path in (("defaults",), *(("servers", name) for name in data.get("servers") or () if name)):
        section: object = data
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        value = section.get("software") if isinstance(section, dict) else None
        several = value.split("+") if isinstance(value, str) else value if isinstance(value, list) else []
        places += [((*path, "software"), each) for each in several]
    return [(path, text) for path, text in places if isinstance(text, str) and _is_file(text)]


def _is_file(text: str) -> bool:
    try:
        return software.parse(text).file is not None
    except UserError:  # reported at its own position
        return False


def _custom(document: Document, path: Path) -> spec.Custom | None:
    """One description, or None if something is wrong with it."""
    if document.data is None and document.problems:
        return None
    if document.data is None:
        document.add((), "the file is empty: write `name`, and `command` or `image`")
        return None
    try:
        file = CustomFile.model_validate(document.data)
    except ValidationError as error:
        explain(document, error, lambda steps, _: CustomFile if steps == () else None)
        return None
    if file.command is None and file.image is None:
        document.add((), "says not how to start it: add `command: [./server, --option]`, or `image`, or both")
    if document.problems:
        return None
    return spec.Custom(file.name, file.command or (), file.image, str(path.parent.resolve()), file.packages)

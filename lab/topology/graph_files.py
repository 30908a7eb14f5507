"""Topologies from files of graphs: GraphML, and edge lists as networkx writes them.

A node is a server, an edge a link; attributes that are named like fields of a server or a link are these, others are
of no concern here. What they become is the same data as a topology file gives, with places, so that the same rules
judge it. A node that is named by a whole number, as generators name them, becomes a server `s` and that number.

GraphML may come from anywhere. Its XML is read once to refuse what can do harm (a DTD, and with it entities that grow
without an end) and what is too much, and to know the places; only then networkx reads its values.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from xml.parsers import expat

from lab.topology.document import Document, Problem, Steps
from lab.topology.guarded_parser import MAX_DEPTH
from lab.topology.limits import MAX_LINKS, MAX_SERVERS
from lab.topology.model import LinkSettings, ServerSettings, list_keys

GRAPHML, EDGES = ".graphml", ".edges"
SUFFIXES = (GRAPHML, EDGES)

_SERVER_FIELDS = frozenset(list_keys(ServerSettings)) - {"options", "certificate_names"}
_LINK_FIELDS = frozenset(list_keys(LinkSettings)) - {"between", "forward", "backward"}
_NEAR = 0.8  # how alike names are of which one is a slip of the other: "latancy"
_LONGEST = 1000  # characters of an edge's attributes: Python's parser can be brought down by deep nesting
_UNDIRECTED = "links go both ways: save the graph undirected; `forward` and `backward` are for topology files"

Place = tuple[int, int]


@dataclass
class GraphDocument(Document):
    """Data from a graph. Places are those of its nodes, edges and attributes."""

    servers: dict[str, dict[str, object]] = field(default_factory=dict)
    links: list[dict[str, object]] = field(default_factory=list)
    places: dict[Steps, Place] = field(default_factory=dict)

    def where(self, path: Steps, *, key: bool = False) -> Place:
        """Line and column of what a path stands for, or of what contains it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def refuse(self, place: Place, message: str) -> None:
        """Note what is wrong at a place of the file."""
        self.problems.append(Problem(self.source, *place, "", message))

    def add_server(self, node: str, place: Place) -> None:
        """A server named after a node."""
        name = name_server(node)
        if name in self.servers:
            line = self.places["servers", name][0]
            self.refuse(place, f"{name} is there twice, first in line {line}: remove one of the two")
            return
        self.servers[name] = {}
        self.places["servers", name] = place

    def add_link(self, one: str, other: str, place: Place) -> int:
        """A link between the servers of two nodes; its number."""
        self.links.append({"between": [name_server(one), name_server(other)]})
        self.places["links", len(self.links) - 1] = place
        return len(self.links) - 1

    def is_full(self, place: Place) -> bool:
        """Whether there is one server or one link too many, which is then a problem."""
        if len(self.servers) <= MAX_SERVERS and len(self.links) <= MAX_LINKS:
            return False
        what = f"{MAX_SERVERS} servers" if len(self.servers) > MAX_SERVERS else f"{MAX_LINKS} links"
        self.refuse(place, f"more than {what}, which no lab can hold")
        return True

    def set_fields(self, path: Steps, attributes: Mapping[str, object], places: Mapping[str, Place]) -> None:
        """Set the fields of a server ("servers", name) or a link ("links", number) that attributes name."""
        section, which = path
        known = _SERVER_FIELDS if section == "servers" else _LINK_FIELDS
        target = self.links[which] if isinstance(which, int) else self.servers[which]
        for name, value in attributes.items():
            place = places.get(name, self.where(path))
            if name in known:
                target[name] = value
                self.places[*path, name] = place
            elif near := next((one for one in sorted(known) if _is_slip(name, one)), None):
                self.refuse(place, f"{name}: unknown attribute, did you mean '{near}'?")


def name_server(node: str) -> str:
    """The name of a node's server."""
    return f"s{node}" if re.fullmatch(r"[0-9]+", node, re.ASCII) else node


def is_graph(path: str | Path) -> bool:
    """Whether a file is one of a graph, by its name."""
    return str(path).endswith(SUFFIXES)


def read(source: str, text: str) -> Document:
    """The topology that a graph stands for. Its errors are in `problems`; `data` is None if nothing could be read."""
    document = GraphDocument(source)
    if source.endswith(GRAPHML):
        _read_graphml(document, text)
    else:
        _read_edges(document, text)
    if not document.servers and not document.problems:
        document.refuse((1, 1), "there is no node in this graph")
    if not document.problems:
        document.data = {"servers": document.servers, "links": document.links}
    return document


def _read_edges(document: GraphDocument, text: str) -> None:
    """A line for each edge: two names, and attributes as a dictionary of Python, as networkx writes them; # begins a
    comment. A name alone is a server without links.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        words = re.match(r"\s*(?P<one>\S+)(?:\s+(?P<other>\S+))?\s*(?P<rest>.*?)\s*$", line.partition("#")[0])
        if words is None:
            continue
        ends = [(words[name], (number, words.start(name) + 1)) for name in ("one", "other") if words[name]]
        for node, place in ends:
            if name_server(node) not in document.servers:
                document.add_server(node, place)
        if len(ends) == 2:
            link = document.add_link(ends[0][0], ends[1][0], ends[0][1])
            if words["rest"]:
                place = number, words.start("rest") + 1
                _set_literal(document, ("links", link), words["rest"], place)
        if document.is_full(ends[0][1]):
            return


def _set_literal(document: GraphDocument, path: Steps, text: str, place: Place) -> None:
    try:
        value = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        document.refuse(
            place, "behind the two names may stand attributes, such as {'latency': '40ms'}, and nothing else"
        )
        return
    document.set_fields(path, value, dict.fromkeys(value, place))


class _Refused(Exception):
    """Reading stops here."""


def _read_graphml(document: GraphDocument, text: str) -> None:
    scan = _Scan(document)
    try:
        scan.read(text)
    except _Refused:
        return
    except expat.ExpatError as error:
        document.refuse((error.lineno, error.offset + 1), f"this is not XML: {expat.ErrorString(error.code)}")
        return
    if not document.problems:
        _set_values(document, scan, text)


class _Scan:
    """The elements of GraphML with their places."""

    def __init__(self, document: GraphDocument) -> None:
        self.document = document
        self.names: dict[str, str] = {}  # attributes by the id of their key
        self.places: dict[Steps, dict[str, Place]] = {}  # of the attributes of a server or a link
        self.edges: dict[frozenset[str], list[int]] = {}  # numbers of links, by nodes
        self._open: list[str] = []
        self._has_graph = False  # networkx has the values of the first one only
        self._path: Steps = ()
        self._parser = expat.ParserCreate("utf-8")  # what the text was decoded from, whatever it declares
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, text: str) -> None:
        """Add the servers and links. Raises _Refused, or ExpatError for what is no XML."""
        self._parser.Parse(text.encode(), True)

    @property
    def _place(self) -> Place:
        return self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1

    def _refuse(self, message: str) -> None:
        self.document.refuse(self._place, message)
        raise _Refused

    def _refuse_doctype(self, *_: object) -> None:
        self._refuse("a DOCTYPE, which may define entities, is not read: remove it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._open and name != "graphml":
            self._refuse(f"this is not GraphML: it begins with <{name}>")
        self._open.append(name)
        if len(self._open) > MAX_DEPTH:
            self._refuse("nested too deeply")
        if self._open[1:2] == ["graph"]:
            self._start_in_graph(name, attributes)
        elif name == "key":
            self.names[attributes.get("id", "")] = attributes.get("attr.name", "")

    def _start_in_graph(self, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "graph" if len(self._open) > 2:
                self._refuse("a graph inside of a node is not read: write one graph")
            case "graph" if self._has_graph:
                self._refuse("a second graph is not read: write one graph, or a file for each")
            case "graph" if attributes.get("edgedefault") == "directed":
                self._refuse(f'edgedefault="directed": {_UNDIRECTED}')
            case "graph":
                self._has_graph = True
            case "node" if len(self._open) == 3:
                node = self._require(attributes, "id")
                self.document.add_server(node, self._place)
                self._path = "servers", name_server(node)
            case "edge" if len(self._open) == 3:
                self._start_edge(attributes)
            case "hyperedge" | "port":
                self._refuse(f"<{name}> is not read: a link is an edge between two nodes")
            case "data" if len(self._open) == 4 and self._path:
                attribute = self.names.get(attributes.get("key", ""), "")
                self.places.setdefault(self._path, {})[attribute] = self._place
        if name in ("node", "edge") and self.document.is_full(self._place):
            raise _Refused

    def _start_edge(self, attributes: dict[str, str]) -> None:
        if attributes.get("directed") == "true":
            self._refuse(f'directed="true": {_UNDIRECTED}')
        ends = self._require(attributes, "source"), self._require(attributes, "target")
        number = self.document.add_link(*ends, self._place)
        self.edges.setdefault(frozenset(ends), []).append(number)
        self._path = "links", number

    def _require(self, attributes: dict[str, str], name: str) -> str:
        if not attributes.get(name):
            self._refuse(f"<{self._open[-1]}> has no {name}")
        return attributes[name]

    def _end(self, _: str) -> None:
        if len(self._open) == 3:
            self._path = ()
        self._open.pop()


def _set_values(document: GraphDocument, scan: _Scan, text: str) -> None:
    """Set what the attributes say: networkx knows their types and defaults."""
    import networkx

    try:
        graph = networkx.parse_graphml(text, force_multigraph=True)
    except (networkx.NetworkXException, KeyError, ValueError, TypeError) as error:
        document.refuse((1, 1), f"the attributes cannot be read: {error}")
        return
    for node, attributes in graph.nodes(data=True):
        name = name_server(node)
        if name in document.servers:  # an edge may have an end that is no node
            values = graph.graph.get("node_default", {}) | attributes
            document.set_fields(("servers", name), values, scan.places.get(("servers", name), {}))
    waiting = {ends: iter(numbers) for ends, numbers in scan.edges.items()}
    for one, other, attributes in graph.edges(data=True):
        path = ("links", next(waiting[frozenset((one, other))]))
        values = graph.graph.get("edge_default", {}) | attributes
        document.set_fields(path, values, scan.places.get(path, {}))


def _is_slip(name: str, known: str) -> bool:
    return SequenceMatcher(None, name.lower()[:40].replace("-", "_"), known).ratio() >= _NEAR

"""A topology drawn for a terminal.

Up to 30 servers are drawn with one line each: as a tree from the most central server, where every link appears
once (to the server above in the tree, or under "also"), or as a matrix where there are too many links for that.
More servers are summarised, and so is a matrix that is wider than the terminal.
"""

from __future__ import annotations

from collections import Counter

from lab.report.graph import labels
from lab.system.tables import get_terminal_width, wrap_text
from lab.topology.facts import Neighbours, compute_distances, compute_facts, find_components, find_neighbours
from lab.topology.spec import Topology

SUFFIXES = (".txt",)

READABLE = 30  # servers that fit a screen
DENSE = 4.0  # mean links per server above which a tree shows too few of the links
BAR = 40  # characters of the longest bar
TOP = 10  # best linked servers named in a summary
REMARKS = 24  # columns that remarks need beside a server; with less they stand below it


def render(topology: Topology) -> str:
    """The picture with a heading above and the facts below; ends with a newline."""
    numbers = compute_facts(topology)
    if numbers.servers > READABLE:
        lines = _summary(topology)
    elif numbers.mean_degree > DENSE:
        lines = _matrix(topology)
        if max(map(len, lines)) > get_terminal_width():
            lines = _summary(topology)
    else:
        lines = _forest(topology)
    heading = [topology.name, *(wrap_text(topology.teaches) if topology.teaches else [])]
    end = [
        line
        for text in (labels.describe_totals(numbers), labels.describe_unlinked(topology))
        for line in wrap_text(text, then="  ")
    ]
    return "\n".join([*heading, "", *lines, "", *end]) + "\n"


def _forest(topology: Topology) -> list[str]:
    """A breadth-first tree of each part."""
    graph = find_neighbours(topology)
    rows: list[tuple[str, str, str]] = []  # the branch in front, the server, its parent ("" for a root)
    for group in find_components(graph):
        rows += _tree(graph, min(group, key=lambda name: sum(compute_distances(graph, name).values())))
    shown: list[str] = []
    table, branches = [], []
    for branch, name, parent in rows:
        server = topology.server(name)
        also = [_to(topology, name, other) for other in graph[name] if other in shown and other != parent]
        facts_of = [f"{server.users} user{'s' * (server.users != 1)}"] if server.users else []
        link = topology.link(name, parent) if parent else None
        remarks = [
            *facts_of,
            *labels.list_remarks(server),
            *([labels.describe_link(link, name)] if link and labels.describe_link(link) else []),
        ]
        tail = ", ".join(remarks) + (f"{'; ' if remarks else ''}also {', '.join(also)}" if also else "")
        table.append((branch + name, labels.describe_software(server), tail))
        branches.append(branch)
        shown.append(name)
    return [line for branch, row in zip(branches, _aligned(table), strict=True) for line in _lines(branch, *row)]


def _lines(branch: str, beginning: str, remarks: str) -> list[str]:
    """A server with its remarks, which wrap beside it, or below it where it leaves no room for them."""
    width = get_terminal_width()
    below = branch.replace("├── ", "│   ").replace("└── ", "    ")
    if width - len(beginning) >= REMARKS or not remarks:
        return [line.rstrip() for line in wrap_text(remarks, beginning, below.ljust(len(beginning)))]
    return [beginning.rstrip(), *wrap_text(remarks, f"{below}      ", f"{below}      ")]


def _to(topology: Topology, name: str, other: str) -> str:
    link = topology.link(name, other)
    text = labels.describe_link(link, name) if link else ""
    return f"{other} ({text})" if text else other


def _tree(graph: Neighbours, root: str) -> list[tuple[str, str, str]]:
    """Rows of the tree below `root`: the parent of a server is the first of its neighbours that is nearer to the
    root.
    """
    children: dict[str, list[str]] = {root: []}
    queue = [root]
    for name in queue:
        for other in graph[name]:
            if other not in children:
                children[other] = []
                children[name].append(other)
                queue.append(other)
    rows = [("", root, "")]

    def add_children(name: str, indent: str) -> None:
        for other in children[name]:
            last = other is children[name][-1]
            rows.append((indent + ("└── " if last else "├── "), other, name))
            add_children(other, indent + ("    " if last else "│   "))

    add_children(root, "")
    return rows


def _matrix(topology: Topology) -> list[str]:
    """Who is linked with whom, in a square."""
    names = [server.name for server in topology.servers]
    widest = len(str(len(names)))
    rows = [("", "", " ".join(f"{number:>{widest}}" for number in range(1, len(names) + 1)))]
    for number, server in enumerate(topology.servers, start=1):
        cells = (_cell(topology, server.name, other) for other in names)
        rows.append(
            (
                f"{number:>{widest}} {server.name}",
                labels.describe_software(server),
                " ".join(f"{c:>{widest}}" for c in cells),
            )
        )
    kinds = Counter(labels.describe_link(link) for link in topology.links)
    legend = [f"   {count} × {text}" for text, count in kinds.items() if text]
    shown = [f"{beginning}{cells}".rstrip() for beginning, cells in _aligned(rows)]
    return [*shown, *(["", " ● a link   ◍ a link with conditions:", *legend] if legend else ["", " ● a link"])]


def _cell(topology: Topology, a: str, b: str) -> str:
    link = topology.link(a, b)
    return "\\" if a == b else "·" if link is None else "◍" if labels.describe_link(link) else "●"


def _summary(topology: Topology) -> list[str]:
    """Too many to draw: softwares, how links are spread, the best linked."""
    graph = find_neighbours(topology)
    softwares = Counter(labels.describe_software(server) for server in topology.servers)
    degrees = Counter(len(others) for others in graph.values())
    most = max(degrees.values())
    said = "servers by software: " + ", ".join(f"{count} {name}" for name, count in sorted(softwares.items()))
    lines = [*wrap_text(said, then="  "), "", "links  servers"]
    for degree, count in sorted(degrees.items()):
        lines.append(f"{degree:>5}  {'█' * max(1, round(BAR * count / most))} {count}")
    best = sorted(graph, key=lambda name: -len(graph[name]))[:TOP]
    said = "best linked: " + ", ".join(f"{name} ({len(graph[name])})" for name in best)
    return [*lines, "", *wrap_text(said, then="  ")]


def _aligned(rows: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """The first two columns, aligned, and the third as it is."""
    first, second = (max(len(row[index]) for row in rows) for index in (0, 1))
    return [(f"{a:<{first}}  {b:<{second}}  ", c) for a, b, c in rows]

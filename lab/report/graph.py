"""Drawings of a topology by their name: for a terminal, for Mermaid, for Graphviz, as SVG. All pure."""

from __future__ import annotations

from collections.abc import Callable

from lab.report import graph_words as words
from lab.report.graph_svg import svg
from lab.report.graph_terminal import terminal
from lab.topology.spec import Topology


def mermaid(topology: Topology) -> str:
    """A Mermaid flowchart, as Markdown pages of code hosts draw it."""
    ids = {server.name: f"n{number}" for number, server in enumerate(topology.servers)}
    lines = ["---", f"title: {topology.name}", "---", "graph LR"]
    for server in topology.servers:
        label = "<br/>".join([f"<b>{server.name}</b>", words.software(server), *words.remarks(server)])
        lines.append(f'  {ids[server.name]}["{label}"]:::{server.software}')
    for link in topology.links:
        text, line = words.link(link), "-.-" if link.direct else "---"
        label = f'|"{text}"|' if text else ""
        lines.append(f"  {ids[link.a]} {line}{label} {ids[link.b]}")
    for name in sorted({server.software for server in topology.servers}):
        fill, stroke = words.COLOURS[name]
        lines.append(f"  classDef {name} fill:{fill},stroke:{stroke},color:#1b1f24")
    return "\n".join(lines) + "\n"


def dot(topology: Topology) -> str:
    """A Graphviz graph."""
    lines = [f'graph "{topology.name}" {{', "  layout=neato; overlap=false; splines=true"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"]')
    for server in topology.servers:
        fill, stroke = words.COLOURS[server.software]
        label = "\\n".join([server.name, words.software(server), *words.remarks(server)])
        lines.append(f'  "{server.name}" [label="{label}", fillcolor="{fill}", color="{stroke}"]')
    for link in topology.links:
        text = [f'label="{words.link(link)}"'] if words.link(link) else []
        attributes = ", ".join([*text, *(["style=dashed"] if link.direct else [])])
        lines.append(f'  "{link.a}" -- "{link.b}"' + (f" [{attributes}]" if attributes else ""))
    return "\n".join([*lines, "}"]) + "\n"


# Each takes a topology and gives a text that ends with a newline.
DRAWINGS: dict[str, Callable[[Topology], str]] = {"terminal": terminal, "mermaid": mermaid, "dot": dot, "svg": svg}

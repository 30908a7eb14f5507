"""A topology as a Graphviz graph."""

from __future__ import annotations

from lab.report.graph import labels
from lab.topology.spec import Topology

SUFFIXES = (".dot", ".gv")


def render(topology: Topology) -> str:
    """An undirected graph in the DOT language, laid out by `neato`."""
    lines = [f'graph "{topology.name}" {{', "  layout=neato; overlap=false; splines=true"]
    lines.append('  node [shape=box, style="rounded,filled", fontname="sans-serif"]')
    for server in topology.servers:
        fill, stroke = server.manifest.colours
        label = "\\n".join([server.name, labels.describe_software(server), *labels.list_remarks(server)])
        lines.append(f'  "{server.name}" [label="{label}", fillcolor="{fill}", color="{stroke}"]')
    for link in topology.links:
        text = [f'label="{labels.describe_link(link)}"'] if labels.describe_link(link) else []
        attributes = ", ".join([*text, *(["style=dashed"] if link.direct else [])])
        lines.append(f'  "{link.a}" -- "{link.b}"' + (f" [{attributes}]" if attributes else ""))
    return "\n".join([*lines, "}"]) + "\n"

"""A topology as a Mermaid flowchart."""

from __future__ import annotations

from lab.declarations.servers import get_manifest
from lab.report.graph import labels
from lab.topology.spec import Topology

SUFFIXES = (".mmd", ".mermaid")


def render(topology: Topology) -> str:
    """A flowchart, as code hosts draw it in Markdown pages."""
    ids = {server.name: f"n{number}" for number, server in enumerate(topology.servers)}
    lines = ["---", f"title: {topology.name}", "---", "graph LR"]
    for server in topology.servers:
        label = "<br/>".join([f"<b>{server.name}</b>", labels.describe_software(server), *labels.list_remarks(server)])
        lines.append(f'  {ids[server.name]}["{label}"]:::{server.software}')
    for link in topology.links:
        text, line = labels.describe_link(link), "-.-" if link.direct else "---"
        label = f'|"{text}"|' if text else ""
        lines.append(f"  {ids[link.a]} {line}{label} {ids[link.b]}")
    for name in sorted({server.software for server in topology.servers}):
        fill, stroke = get_manifest(name).colours
        lines.append(f"  classDef {name} fill:{fill},stroke:{stroke},color:#1b1f24")
    return "\n".join(lines) + "\n"

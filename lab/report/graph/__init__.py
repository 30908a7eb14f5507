"""Drawings of a topology: for a terminal, for Mermaid, for Graphviz, as SVG. All are pure functions.

A new format is one file here and one line in GRAPH_FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lab.report.graph.dot import dot
from lab.report.graph.mermaid import mermaid
from lab.report.graph.svg import svg
from lab.report.graph.terminal import terminal
from lab.topology.spec import Topology


class GraphFormat(NamedTuple):
    """One format of a drawing."""

    draw: Callable[[Topology], str]  # the text ends with a newline
    suffixes: tuple[str, ...]  # of file names that ask for this format


#: By name, as the options of `xmpplab graph` call them.
GRAPH_FORMATS = {
    "svg": GraphFormat(svg, (".svg",)),
    "dot": GraphFormat(dot, (".dot", ".gv")),
    "mermaid": GraphFormat(mermaid, (".mmd", ".mermaid")),
    "terminal": GraphFormat(terminal, (".txt",)),
}

"""Drawings of a topology: for a terminal, for Mermaid, for Graphviz, as SVG. All are pure functions.

A new format is one file here, with a function of its name and SUFFIXES, and one line in NAMES.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from lab.system.terminal import escape_unprintable
from lab.topology.spec import Topology

#: As the options of `xmpplab graph` call them.
NAMES = (
    "svg",
    "dot",
    "mermaid",
    "terminal",
)


class GraphFormat(NamedTuple):
    """One format of a drawing."""

    draw: Callable[[Topology], str]  # the text ends with a newline
    suffixes: tuple[str, ...]  # of file names that ask for this format


def _format(name: str) -> GraphFormat:
    module = import_module(f"lab.report.graph.{name}")
    draw: Callable[[Topology], str] = module.render
    return GraphFormat(lambda topology: escape_unprintable(draw(topology)), module.SUFFIXES)


GRAPH_FORMATS = {name: _format(name) for name in NAMES}

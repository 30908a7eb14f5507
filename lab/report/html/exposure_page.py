"""The page of an exposure: facts by server, each with the stanza that proves it; and of a comparison of topologies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.metrics.conversations import Conversations
from lab.metrics.exposure import FACTS, Learned
from lab.report.exposure import (
    COMPARISON_HEAD,
    DISTRIBUTION_COMPARISON_HEAD,
    DISTRIBUTION_HEAD,
    PEOPLE_BY_SERVER,
    SHARE_HEAD,
    Exposure,
    list_comparison,
    list_distribution_comparison,
    list_distributions,
    list_encryptions,
    list_measures,
    list_shares,
    list_unknown,
    write_cell,
)
from lab.report.graph.svg import render as draw_topology
from lab.report.html.document import embed_svg, render_page
from lab.runner.folders import PAGE
from lab.system.terminal import escape_unprintable
from lab.topology.spec import Topology

#: Of the subjects of a cell, such as pairs of people, and of servers whose cells have a list of their own.
SUBJECTS, SERVERS = 20, 30
#: The most servers that are columns of a table, and that are drawn.
COLUMNS, DRAWN = 6, 40


def render_exposure(shown: Exposure, *, beside_page: bool = False) -> str:
    """The page of a run or a lab, whole. Where it is to lie beside the page of the run, proofs link to that page."""
    return render_page(
        "exposure.html",
        styles=("exposure.css",),
        title=f"What each server learned: {shown.title}",
        sentences=list_measures(shown.conversations),
        drawing=_draw(shown.conversations.topology),
        facts=_list_facts(shown.cells),
        proof=shown.proof,
        encryption_head=("fact", *shown.encryptions),
        encryptions=list_encryptions(shown.encryptions) if len(shown.encryptions) > 1 else [],
        unknown=list_unknown(shown.cells),
        share_head=SHARE_HEAD,
        shares=list_shares(shown.conversations),
        distribution_head=DISTRIBUTION_HEAD,
        distributions=list_distributions(shown.conversations),
        proofs=_list_proofs(shown),
        page=PAGE if beside_page else "",
    )


def render_comparison_page(plans: Sequence[Conversations], about: str) -> str:
    """The page of topologies side by side, whole."""
    return render_page(
        "exposure_comparison.html",
        styles=("exposure.css",),
        title="What servers would see, by topology",
        about=about,
        head=COMPARISON_HEAD,
        rows=list_comparison(plans),
        distribution_title=PEOPLE_BY_SERVER,
        distribution_head=DISTRIBUTION_COMPARISON_HEAD,
        distributions=list_distribution_comparison(plans),
        topologies=[
            {
                "name": one.topology.name,
                "drawing": _draw(one.topology),
                "sentences": list_measures(one),
            }
            for one in plans
        ],
    )


def _draw(topology: Topology) -> str:
    """The address of a drawing; "" where there are too many servers to see anything."""
    return embed_svg(escape_unprintable(draw_topology(topology))) if len(topology.servers) <= DRAWN else ""


def _list_facts(cells: Sequence[Learned]) -> dict[str, Any]:
    """The table of facts: a column for each server, or of many servers a row for each."""
    texts: dict[str, list[str]] = {}
    for cell in cells:
        texts.setdefault(cell.server, []).append(write_cell(cell))
    facts = list(FACTS.values())
    if len(texts) > COLUMNS:
        return {"head": ("server", *facts), "rows": [(name, *some) for name, some in texts.items()]}
    return {"head": ("fact", *texts), "rows": list(zip(facts, *texts.values(), strict=True))}


def _list_proofs(shown: Exposure) -> list[dict[str, Any]]:
    """For each server what it learned, with the stanza that proves the first of it."""
    servers: dict[str, list[dict[str, Any]]] = {}
    for cell in shown.cells:
        if not cell.count or cell.event is None:
            continue
        event = shown.stanzas.get((cell.server, cell.event))
        servers.setdefault(cell.server, []).append(
            {
                "fact": FACTS[cell.fact],
                "shown": cell.detail or cell.count,
                "subjects": [subject for subject, _ in cell.subjects[:SUBJECTS]],
                "more": len(cell.subjects) - SUBJECTS,
                "event": cell.event,
                "drawn": event is not None,  # of stanzas: streams are no lines of the diagram
                "stanza": (event.stanza or "its feed has no content of stanzas") if event else "the stream of a client",
            }
        )
    return [{"server": name, "facts": facts} for name, facts in list(servers.items())[:SERVERS]]

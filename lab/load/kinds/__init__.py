"""The code of load kinds: one module for each kind that lab.declarations.load_kinds declares, under the same name."""

from __future__ import annotations

from collections.abc import Callable

from lab.declarations.discovery import find_variants
from lab.load.model.spec import Load, Shard, seeded_rng
from lab.load.workload.actions import Draw, DrawContext, KindCode, draw_mixed
from lab.load.workload.population import Population
from lab.load.workload.requests import PendingRequests, RequestKind
from lab.load.workload.traffic import Traffic

#: By the name of the kind.
CODE: dict[str, KindCode] = find_variants(__name__, "KIND", KindCode)


def build_request_kinds(
    traffic: Traffic, requests: PendingRequests, contacts: Callable[[int], list[str]]
) -> dict[str, RequestKind]:
    """What performs the requests of a traffic, by action. `contacts` gives the addresses in the roster of a user."""
    kinds = {part.kind.action: CODE[part.kind.name].requests for part in traffic.parts}
    return {action: kind(requests, contacts) for action, kind in kinds.items() if kind is not None}


def build_draw(traffic: Traffic, load: Load, shard: Shard, seed: int) -> Draw:
    """The draw of a worker's actions. Raises UserError if no user of that worker could do one of the parts."""
    population, intermittent = Population(load), traffic.intermittent(load, seed)
    draws = []
    for number, part in enumerate(traffic.parts):
        rng = seeded_rng(seed, "traffic", shard.index, shard.of, number)
        context = DrawContext(population, population.list_owned(shard), rng, seed, intermittent)
        draws.append(CODE[part.kind.name].build_draw(context, part))
    if len(draws) == 1:
        return draws[0]
    rng = seeded_rng(seed, "mix", shard.index, shard.of)
    return draw_mixed(draws, [part.weight for part in traffic.parts], rng)

"""When declared faults are applied and healed, and to what: a pure function of faults and topology.

Each fault draws from its own random numbers, whose seed is the fault's: the same faults on the same topology give the
same decisions, whatever else happens, and one fault more or less changes nothing of the others.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults import FAULTS
from lab.topology.fault_targets import Target, directions, draw, find_targets
from lab.topology.spec import FaultSpec, Topology


class Phase(StrEnum):
    """What is done to a fault."""

    APPLY = "apply"
    HEAL = "heal"


@dataclass(frozen=True, order=True)
class Decision:
    """A fault is applied to these targets, or healed."""

    at: float  # seconds since the beginning
    phase: Phase
    fault: str  # its name
    occurrence: int  # which time of this fault, from 1; its healing has the same
    targets: tuple[Target, ...]  # servers (one name each), or directions of links (source, target)


def declaration(spec: FaultSpec) -> FaultDeclaration:
    """What is declared of a fault's action. Raises KeyError."""
    return next(one for one in FAULTS.values() if one.name == spec.action)


def decisions(specs: Sequence[FaultSpec], topology: Topology) -> Iterator[Decision]:
    """All decisions in the order of their times; without an end if a fault has `every`.

    Raises UserError or NotApplicable at the first one if a fault cannot act on this topology.
    """
    return heapq.merge(*(_of(spec, topology) for spec in specs), key=lambda one: one.at)


def _of(spec: FaultSpec, topology: Topology) -> Iterator[Decision]:
    declared, number = declaration(spec), count(1)
    by_lot = random.Random(f"{spec.seed} {spec.name}")  # noqa: S311 - nothing secret: the same in every run
    found = find_targets(spec, topology)
    for round_ in count():
        start = spec.at + round_ * (spec.every or 0.0)
        targets = tuple(directions(spec, draw(spec, found, by_lot)))
        for begin, end in _spans(spec, declared, start):
            occurrence = next(number)
            yield Decision(begin, Phase.APPLY, spec.name, occurrence, targets)
            if end is not None:
                yield Decision(end, Phase.HEAL, spec.name, occurrence, targets)
        if spec.every is None:
            return


def _spans(spec: FaultSpec, declared: FaultDeclaration, start: float) -> Iterator[tuple[float, float | None]]:
    """When a fault that begins at `start` acts, in seconds; an end of None is the end of all."""
    end = None if spec.duration is None or not declared.lasts else start + spec.duration
    if declared.pulses is None:
        yield start, end
        return
    down, up = declared.pulses(declared.read(spec.fields))
    for pulse in count():
        begin = start + pulse * (down + up)
        if end is not None and begin >= end:
            return
        yield begin, begin + down if end is None else min(begin + down, end)

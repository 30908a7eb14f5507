"""`dns`: the lab's name server answers otherwise when a server looks for another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import NameAnswer
from lab.declarations.fault import (
    DIRECTION,
    DURATION_SCHEMA,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Targets,
    acts_on_links,
    one_of,
)
from lab.declarations.units import parse_duration

HOWS = ("nxdomain", "servfail", "no-answer", "slow", "wrong-srv", "failover")


def _effects(values: Mapping[str, Any], targets: Targets) -> list[NameAnswer]:
    delay = values["delay"] if values["how"] == "slow" else 0.0
    return [NameAnswer(source, target, values["how"], delay) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="dns",
    about="The lab's name server answers otherwise where one server of a link looks for the other.",
    fields=(
        DIRECTION,
        FaultField(
            name="how",
            about="The name does not exist (nxdomain), the name server fails (servfail), says nothing (no-answer), "
            "answers late (slow), names a port where nothing listens (wrong-srv), or that one first and the right one "
            "after it (failover).",
            read=one_of(*HOWS),
            default="nxdomain",
            schema={"enum": list(HOWS)},
        ),
        FaultField(
            name="delay",
            about="How late `slow` answers.",
            read=parse_duration,
            unit="s",
            default="3s",
            schema=DURATION_SCHEMA,
        ),
    ),
    acts_on=acts_on_links,
    target=FaultTarget.LINKS,
    effects=_effects,
)

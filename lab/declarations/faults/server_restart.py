"""`restart`: servers are stopped in order and started again at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import ServerChange, ServerOutage
from lab.declarations.fault import FaultDeclaration, FaultTarget, Targets


def _effects(values: Mapping[str, Any], targets: Targets) -> list[ServerOutage]:
    return [ServerOutage(server, ServerChange.RESTART) for (server,) in targets]


DECLARATION = FaultDeclaration(
    name="restart",
    about="Servers are stopped in order and started again; it is over once they accept streams.",
    fields=(),
    target=FaultTarget.SERVERS,
    effects=_effects,
    lasts=False,
)

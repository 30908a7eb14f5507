"""`pause`: Servers do nothing; their connections stay, and go on when it is healed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import ServerChange, ServerOutage
from lab.declarations.fault import FaultDeclaration, FaultTarget, Targets


def _effects(values: Mapping[str, Any], targets: Targets) -> list[ServerOutage]:
    return [ServerOutage(server, ServerChange.PAUSE) for (server,) in targets]


DECLARATION = FaultDeclaration(
    name="pause",
    about="Servers do nothing; their connections stay, and go on when it is healed.",
    fields=(),
    target=FaultTarget.SERVERS,
    effects=_effects,
)

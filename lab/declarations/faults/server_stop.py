"""`stop`: Servers are stopped in order (SIGTERM), and started again when it is healed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import ServerChange, ServerOutage
from lab.declarations.fault import FaultDeclaration, FaultTarget, Targets


def _effects(values: Mapping[str, Any], targets: Targets) -> list[ServerOutage]:
    return [ServerOutage(server, ServerChange.STOP) for (server,) in targets]


DECLARATION = FaultDeclaration(
    name="stop",
    about="Servers are stopped in order (SIGTERM), and started again when it is healed.",
    fields=(),
    target=FaultTarget.SERVERS,
    effects=_effects,
    duration_alias="restart",
)

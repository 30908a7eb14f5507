"""`reset-streams`: the connections of links are ended once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import StreamsEnd
from lab.declarations.fault import (
    DIRECTION,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Targets,
    acts_on_links,
    one_of,
)


def _effects(values: Mapping[str, Any], targets: Targets) -> list[StreamsEnd]:
    return [StreamsEnd(source, target, values["how"]) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="reset-streams",
    about="The connections of links are ended once; new ones are carried at once.",
    fields=(
        DIRECTION,
        FaultField(
            name="how",
            about="Both ends get a reset (RST), or the end of the connection (FIN); bytes under way are lost.",
            read=one_of("reset", "close"),
            default="reset",
            schema={"enum": ["reset", "close"]},
        ),
    ),
    acts_on=acts_on_links,
    target=FaultTarget.LINKS,
    effects=_effects,
    lasts=False,
)

"""`client`: the connection of a person's devices is lost, or passes no bytes, and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import DeviceOutage
from lab.declarations.fault import FaultDeclaration, FaultField, FaultTarget, Targets, acts_on_no_route, one_of
from lab.errors import UserError


def read_device(value: Any) -> Any:
    """A device, as a script has it. Raises UserError."""
    if not callable(getattr(value, "drop_connection", None)) or not hasattr(value, "resumable"):
        raise UserError(f"{value!r} is no device: give person.device, or one of person.devices")
    return value


def _effects(values: Mapping[str, Any], targets: Targets) -> list[DeviceOutage]:
    return [DeviceOutage(person, server, values["how"]) for person, server in targets]


DECLARATION = FaultDeclaration(
    name="client",
    about="The devices of people lose their connections, or these pass no bytes.",
    fields=(
        FaultField(
            name="how",
            about="The connection is reset and the stream not closed (dropped), or passes no bytes (stalled).",
            read=one_of("dropped", "stalled"),
            default="dropped",
            schema={"enum": ["dropped", "stalled"]},
        ),
    ),
    acts_on=acts_on_no_route,
    target=FaultTarget.PEOPLE,
    effects=_effects,
    by_holder=True,
)

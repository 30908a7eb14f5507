"""`certificate`: servers show another certificate than before, while they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import CertificateChange
from lab.declarations.fault import FaultDeclaration, FaultField, FaultTarget, Targets, one_of

#: What a certificate is called here, and its kind in a topology.
KINDS = {
    "renewed": "valid",
    "replaced": "unknown-authority",
    "self-signed": "self-signed",
    "expired": "expired",
    "not-yet-valid": "not-yet-valid",
    "wrong-name": "wrong-name",
}


def _effects(values: Mapping[str, Any], targets: Targets) -> list[CertificateChange]:
    return [CertificateChange(server, KINDS[values["how"]]) for (server,) in targets]


DECLARATION = FaultDeclaration(
    name="certificate",
    about="Servers get another key and certificate while they run; streams that are up stay.",
    fields=(
        FaultField(
            name="how",
            about="A valid one (renewed), one of an authority that nobody trusts (replaced), or a wrong one as in "
            "a topology (self-signed, expired, not-yet-valid, wrong-name).",
            read=one_of(*KINDS),
            schema={"enum": list(KINDS)},
        ),
    ),
    target=FaultTarget.SERVERS,
    effects=_effects,
    by_holder=True,
)

"""Load kinds by name: each module here has a KIND. In lists messages come first, then rooms, presences, requests."""

from __future__ import annotations

from lab.declarations.discovery import find_variants
from lab.declarations.load_kind import LoadKind

KINDS: dict[str, LoadKind] = {
    kind.name: kind
    for kind in sorted(find_variants(__name__, "KIND", LoadKind).values(), key=lambda kind: (kind.receivers, kind.name))
}

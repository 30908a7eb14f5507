"""Server software by name: each module here has a MANIFEST.

In every list the software that the lab installs comes first, the default before the others; then what a user describes
in a file; then what somebody else starts.
"""

from __future__ import annotations

from lab.declarations.discovery import find_variants
from lab.declarations.manifest import ServerManifest, StartedBy
from lab.errors import UserError


def _place(manifest: ServerManifest) -> tuple[bool, bool, bool, str]:
    elsewhere = manifest.started_by is not StartedBy.LAB
    return elsewhere, not manifest.installed, not manifest.default, manifest.name


#: Every manifest by the name of its software.
MANIFESTS: dict[str, ServerManifest] = {
    manifest.name: manifest
    for manifest in sorted(find_variants(__name__, "MANIFEST", ServerManifest).values(), key=_place)
}

#: Software that the lab installs from packages.
INSTALLED = tuple(name for name, manifest in MANIFESTS.items() if manifest.installed)


def get_manifest(software: str) -> ServerManifest:
    """The manifest of a software. Raises UserError if there is none."""
    try:
        return MANIFESTS[software]
    except KeyError:
        raise UserError(f"there is no server software {software!r}; choose one of {', '.join(MANIFESTS)}") from None

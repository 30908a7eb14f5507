"""Server software by name: a directory here for each, with a value SOFTWARE, beside its manifest in lab/declarations.

Rules: nothing in lab/servers does input or output; everything is text, commands and operations as data.
"""

from __future__ import annotations

from importlib import import_module

from lab.declarations.servers import get_manifest
from lab.errors import LabError
from lab.servers.software import Software


def get_software(name: str) -> Software:
    """The software of that name. Raises UserError if there is none."""
    module = f"{__name__}.{get_manifest(name).folder}"
    found = getattr(import_module(module), "SOFTWARE", None)
    if not isinstance(found, Software):
        raise LabError(f"{module} renders nothing: add `SOFTWARE`, a {Software.__name__}")
    return found

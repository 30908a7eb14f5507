"""Faults by name: each module here has a DECLARATION, and lab/faults a module of the same name with the code."""

from __future__ import annotations

from lab.declarations.discovery import find_variants
from lab.declarations.fault import FaultDeclaration

#: Every declaration by its module's name, with hyphens.
FAULTS: dict[str, FaultDeclaration] = find_variants(__name__, "DECLARATION", FaultDeclaration)

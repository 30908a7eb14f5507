"""xmpplab: a local-first lab for XMPP federation.

The names that scripts and tests use. Each is imported when it is first used, so that `import lab` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lab.packaged import VERSION

if TYPE_CHECKING:
    from lab.errors import LabError, NotApplicable, NotReady, NotReceived, PeerError, TimedOut, UserError
    from lab.federation import Federation
    from lab.runner import expect, record_table, scenario, step

__version__ = VERSION

_MODULES = {
    "Federation": "lab.federation",
    "expect": "lab.runner",
    "record_table": "lab.runner",
    "scenario": "lab.runner",
    "step": "lab.runner",
    "LabError": "lab.errors",
    "NotApplicable": "lab.errors",
    "NotReady": "lab.errors",
    "NotReceived": "lab.errors",
    "PeerError": "lab.errors",
    "TimedOut": "lab.errors",
    "UserError": "lab.errors",
}

__all__ = [
    "Federation",
    "LabError",
    "NotApplicable",
    "NotReady",
    "NotReceived",
    "PeerError",
    "TimedOut",
    "UserError",
    "expect",
    "record_table",
    "scenario",
    "step",
]


def __getattr__(name: str) -> Any:
    """Import a public name. Raises AttributeError for another name."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

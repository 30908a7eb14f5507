"""Faults by name: `from lab.faults import partition`.

A fault is a declaration in lab/declarations/faults and a module of the same name here, with a function that is called
as the fault is and returns a value for `Federation.inject`. It is found because its files are there.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from lab.declarations.faults import FAULTS
from lab.errors import LabError
from lab.federation import Fault

_MODULES = {
    declared.name.replace("-", "_"): f"{__name__}.{module.replace('-', '_')}" for module, declared in FAULTS.items()
}


def __getattr__(name: str) -> Callable[..., Fault[Any]]:
    if name not in _MODULES:
        raise AttributeError(f"there is no fault {name!r}: there are {', '.join(sorted(_MODULES))}")
    make = getattr(import_module(_MODULES[name]), name, None)
    if not callable(make):
        raise LabError(f"{_MODULES[name]} has no function {name}")
    return make  # type: ignore[no-any-return]  # each test of a fault sees to what it returns


def __dir__() -> list[str]:
    return sorted(_MODULES)

"""Finding variants: every module of a package declares one, as a value of an agreed name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TypeVar

from lab.errors import LabError

T = TypeVar("T")


def find_variants(package: str, attribute: str, kind: type[T]) -> dict[str, T]:
    """The value `attribute` of each module of a package, by the module's name with hyphens, in alphabetical order.

    Modules whose name begins with an underscore are no variants. Raises LabError for a module without such a value.
    """
    found: dict[str, T] = {}
    for module in sorted(pkgutil.iter_modules(import_module(package).__path__), key=lambda one: one.name):
        if module.name.startswith("_"):
            continue
        path = f"{package}.{module.name}"
        value = getattr(import_module(path), attribute, None)
        if not isinstance(value, kind):
            raise LabError(f"{path} declares nothing: add `{attribute}`, a {kind.__name__}")
        found[module.name.replace("_", "-")] = value
    return found

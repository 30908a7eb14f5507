"""Which module of lab/ imports which, read from the source: inside functions and for type checkers as well."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.house.tree import ROOT, Import, imports, python_files

#: The whole package's own `__init__`: the public names, which nothing inside imports.
PUBLIC = "lab"


@cache
def modules() -> dict[str, Path]:
    """The file of each module, by its dotted name; a package has the name of its folder."""
    return {_name(path): path for path in python_files("lab")}


@cache
def edges() -> dict[tuple[str, str], Import]:
    """Who imports whom, with the first import that does so; not the public names."""
    found: dict[tuple[str, str], Import] = {}
    for name, path in modules().items():
        for one in imports(path):
            target = _module(one.name)
            if target not in ("", name, PUBLIC) and name != PUBLIC:
                found.setdefault((name, target), one)
    return found


@cache
def package_edges() -> dict[tuple[str, str], Import]:
    """The same between folders. A registry's `__init__` may name the variants in the folders below its own."""
    found: dict[tuple[str, str], Import] = {}
    for (source, target), one in edges().items():
        own, other = package(source), package(target)
        registry = source == own and other.startswith(f"{own}.")
        if own != other and not registry:
            found.setdefault((own, other), one)
    return found


def package(module: str) -> str:
    """The folder of a module."""
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


def cycles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of two or more that reach each other."""
    following: dict[str, set[str]] = {}
    for source, target in pairs:
        following.setdefault(source, set()).add(target)
    reach = {one: _reachable(one, following) for one in following}
    groups = {
        frozenset(two for two in reach[one] if one in reach.get(two, ())) for one in following if one in reach[one]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, following: dict[str, set[str]]) -> set[str]:
    """All that can be reached in one step or more."""
    seen: set[str] = set()
    waiting = [*following.get(start, ())]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += following.get(one, ())
    return seen


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(name: str) -> str:
    """The module that an imported name belongs to, "" if it is none of lab/."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name

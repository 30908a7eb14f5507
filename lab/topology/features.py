"""Settings of servers that depend on their software: features, raw options, and what only a server of the lab's has.

They are judged once every server has its software: where several are dealt in turn it is not known before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.topology.document import Document, Steps
from lab.topology.spec import Server, Topology


def check(document: Document, topology: Topology) -> None:
    """Add a problem to the document for each setting that a server's software cannot have."""
    for server in topology.servers:
        for field, word, message in _find(server):
            path = _path(document.data, server.name, field, word)
            shared = path[0] == "defaults"
            document.add(path, f"{server.name}: {message}" if shared else message)


def find_problems(server: Server) -> list[str]:
    """The same as sentences, for servers that come from no file."""
    return [f"{field}: {message}" for field, _, message in _find(server)]


def _find(server: Server) -> Iterator[tuple[str, str, str]]:
    """Field, the word in it that is meant, and what is wrong with it."""
    manifest = server.manifest
    if not manifest.installed:
        for field in ("features", "options", "max_stanza_size"):
            if getattr(server, field):
                yield field, "", f"the lab does not configure a server that is {server.software}: remove `{field}`"
        return
    for change in server.features:
        sign, name = change[0], change[1:]
        support = manifest.support(name, server.version)
        if support.fixed and support.usual != (sign == "+"):
            verb = "cannot have" if sign == "+" else "cannot be without"
            yield "features", change, f"{server.software}@{server.version} {verb} `{name}`: {support.fixed}"
    own = [name for name in server.options if name in manifest.reserved_options]
    own += [name for name in _names(server.options) if name.startswith(manifest.reserved_prefix)]
    for name in own:
        yield "options", name, f"`{name}` cannot be set: with {server.software} it is the lab's own, or no setting"


def _names(value: object) -> Iterator[str]:
    """Every name in raw settings, at any depth."""
    for name, below in value.items() if isinstance(value, Mapping) else ():
        yield name
        yield from _names(below)


def _path(data: object, server: str, field: str, word: str) -> Steps:
    """Where a file says it: at the server, else in the defaults."""
    for path in (("servers", server, field), ("defaults", field)):
        value = data
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, str) and each.lstrip("+-") == word.lstrip("+-"):
                    return (*path, index)
        elif isinstance(value, dict):
            for key, below in value.items():
                if key == word:
                    return (*path, key)
                if isinstance(below, dict) and word in below:
                    return (*path, key, word)
                if isinstance(below, dict) and word in _names(below):
                    return (*path, key)
        elif value is not None:
            return path
    return ("servers", server)

"""Settings of servers that depend on their software: features, raw options, and what only a server of the lab's has.

They are judged once every server has its software: where several are dealt in turn it is not known before. Where a file
says it is found in references.py; plans judge servers that come from no file, and a plan is read where no parser is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.topology.spec import Server


def find_problems(server: Server) -> list[str]:
    """The same as sentences, for servers that come from no file."""
    return [f"{field}: {message}" for field, _, message in find_settings(server)]


def find_settings(server: Server) -> Iterator[tuple[str, str, str]]:
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
    own += [name for name in list_names(server.options) if name.startswith(manifest.reserved_prefix)]
    for name in own:
        yield "options", name, f"`{name}` cannot be set: with {server.software} it is the lab's own, or no setting"


def list_names(value: object) -> Iterator[str]:
    """Every name in raw settings, at any depth."""
    for name, below in value.items() if isinstance(value, Mapping) else ():
        yield name
        yield from list_names(below)

"""Which settings of a topology's server an export has, and which not: those are named, not left out unseen."""

from __future__ import annotations

from dataclasses import fields, replace

from lab.topology.spec import Server

#: Fields that differ from server to server and are no settings of its configuration, or are exported.
_EXPORTED = {"name", "domain", "software", "version", "users", "feed", "custom", "address", "operator", "hosting"}
#: The one feature that an export has or has not, as the topology says.
_FEATURES = {"+mam", "-mam"}


def split_settings(spec: Server) -> tuple[Server, tuple[str, ...]]:
    """The server with what an export has of it, and the names of its other settings."""
    usual = Server(spec.name, spec.domain, spec.software, spec.version)
    kept = tuple(one for one in spec.features if one in _FEATURES)
    others = [one.name for one in fields(Server) if one.name not in _EXPORTED | {"features"}]
    left_out = [name for name in others if getattr(spec, name) != getattr(usual, name)]
    changed = {name: getattr(usual, name) for name in left_out}
    left_out += [f"features: {one}" for one in spec.features if one not in _FEATURES]
    return replace(spec, features=kept, **changed), tuple(left_out)

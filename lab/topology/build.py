"""From what is written to what it means: shapes are drawn, defaults applied, and software is assigned in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

from lab.declarations.links import LINK_FIELDS, Conditions
from lab.declarations.manifest import Accounts
from lab.declarations.servers import INSTALLED, get_manifest
from lab.topology import software, spec
from lab.topology.limits import MAX_LINKS
from lab.topology.model import Defaults, LinkConditions, LinkSettings, ServerSettings, TopologyFile
from lab.topology.shape import Misfit

LISTED_USERS = 8  # enough for the people of a story


def build(file: TopologyFile, name: str, customs: Mapping[str, spec.Custom]) -> spec.Topology:
    """The topology of a valid file. `customs` are the descriptions of one's own softwares by their path.

    Raises Misfit if its shape cannot be drawn with the given parameters.
    """
    settings, links = _parts(file)
    in_turn = cycle(file.defaults.software or (software.DEFAULT,))
    servers = []
    for server, own in settings.items():
        choice = own.software or next(in_turn)
        servers.append(_server(server, own, file.defaults, choice, customs))
    return spec.Topology(
        name=file.name or name,
        teaches=file.teaches,
        servers=tuple(servers),
        links=tuple(_link(link, file.defaults) for link in links),
        unlinked=file.unlinked or spec.Unlinked.NOT_ALLOWED,
        placement=file.people.placement or spec.Placement.TOGETHER,
    )


def _parts(file: TopologyFile) -> tuple[dict[str, ServerSettings], tuple[LinkSettings, ...]]:
    if file.shape is None:
        return dict(file.servers or {}), file.links or ()
    pairs = file.shape.links()
    if len(pairs) > MAX_LINKS:
        raise Misfit("servers", f"makes {len(pairs)} links, more than a lab can hold ({MAX_LINKS}): take fewer servers")
    links = tuple(LinkSettings(between=pair) for pair in pairs)
    return {name: ServerSettings() for name in file.shape.names()}, links


def _server(
    name: str,
    own: ServerSettings,
    defaults: Defaults,
    choice: software.Choice,
    customs: Mapping[str, spec.Custom],
) -> spec.Server:
    tls = own.tls or defaults.tls or spec.Tls.REQUIRED
    # EXTERNAL is the certificate shown in TLS: without TLS only dialback is left.
    usual = spec.Authentication.DIALBACK if tls is spec.Tls.OFF else spec.Authentication.EXTERNAL
    given = own.users if own.users is not None else defaults.users
    # The lab creates further accounts as people need them, but not where a server reads a list of them.
    accounts = get_manifest(choice.software).accounts
    # Those that the lab configures: what `defaults` say of others would be an error at each of them.
    shared = defaults if get_manifest(choice.software).installed else Defaults()
    usual_users = LISTED_USERS if accounts is Accounts.LISTED else 0
    return spec.Server(
        name=name,
        domain=own.domain or f"{name}.test",
        software=choice.software,
        version=choice.version,
        users=0 if accounts is Accounts.NONE else given if given is not None else usual_users,
        tls=tls,
        authentication=own.authentication or defaults.authentication or usual,
        certificate=own.certificate or defaults.certificate or spec.Certificate.VALID,
        feed=own.feed or defaults.feed or spec.Feed.FULL,
        custom=customs[choice.file] if choice.file is not None else None,
        address=own.address,
        features=_features(shared.features or (), own.features or ()),
        options=_merged(_of_software(shared.options, choice), _of_software(own.options, choice)),
        max_stanza_size=own.max_stanza_size or shared.max_stanza_size,
        certificate_names=own.certificate_names or defaults.certificate_names or (),
        operator=own.operator or defaults.operator or "",
        hosting=own.hosting or defaults.hosting or "",
    )


def _features(*layers: tuple[str, ...]) -> tuple[str, ...]:
    """What the last layer says of a feature counts."""
    return tuple({change[1:]: change for layer in layers for change in layer}.values())


def _of_software(options: Mapping[str, Any] | None, choice: software.Choice) -> dict[str, Any]:
    """Those for a software: all, unless they are given by software."""
    if not options:
        return {}
    if options.keys() & set(INSTALLED):
        return dict(options.get(choice.software) or {})
    return dict(options)


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, anything else is replaced."""
    merged = dict(low)
    for name, value in high.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _link(link: LinkSettings, defaults: Defaults) -> spec.Link:
    a, b = link.between
    plain = spec.Link(a, b, comes_up=link.comes_up is not False)
    if link.direct if link.direct is not None else defaults.direct:
        return replace(plain, direct=True)
    return replace(
        plain,
        forward=_conditions(link.forward, link, defaults),
        backward=_conditions(link.backward, link, defaults),
    )


def _conditions(*layers: LinkConditions) -> Conditions:
    """The first layer that says something counts, field by field."""
    given: dict[str, Any] = {}
    for layer in layers:
        for field in LINK_FIELDS:
            if field.name in layer.model_fields_set:
                given.setdefault(field.name, getattr(layer, field.name))
    return Conditions(**given)

"""What is wrong between places of one topology: links to nowhere, links twice, domains twice.

It looks at the plain data, not at the model, so that these errors are reported together with all others; whatever is
too broken to be understood here has a problem of its own already.
"""

from __future__ import annotations

from typing import Any

from lab.declarations.links import LINK_FIELDS, LinkField
from lab.declarations.manifest import Accounts, StartedBy
from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import UserError
from lab.topology.document import Document, Steps
from lab.topology.features import find_settings, list_names
from lab.topology.spec import Topology
from lab.topology.words import suggest

Data = dict[str, object]

_CONDITIONS = tuple(field.name for field in LINK_FIELDS)


def check(document: Document) -> None:
    """Add the problems of a whole topology to the document."""
    data = document.data
    if not isinstance(data, dict):
        return
    if data.get("shape") is not None:
        for other in ("servers", "links"):
            if other in data:
                message = f"a topology has either a `shape` or `servers` and `links`: remove `shape` or `{other}`"
                document.add((other,), message, key=True)
    elif data.get("servers") is None and "shape" not in data:
        document.add((), "there are no servers: add `servers` and `links`, or a `shape`")
    servers = data.get("servers")
    if isinstance(servers, dict):
        _links(document, servers)
        _domains(document, servers)
        for name, settings in servers.items():
            _server(document, ("servers", name), _mapping(settings), _mapping(data.get("defaults")))
    _server(document, ("defaults",), _mapping(data.get("defaults")), {})
    _direct(document)
    _limits(document)
    _empty(document, data, (), set())


def _links(document: Document, servers: Data) -> None:
    """Both ends are there, are two, and are not linked a second time."""
    seen: dict[frozenset[str], int] = {}
    for index, link in enumerate(_list(_mapping(document.data).get("links"))):
        path = ("links", index, "between")
        ends = _mapping(link).get("between")
        if not isinstance(ends, list) or len(ends) != 2 or not all(isinstance(end, str) for end in ends):
            continue
        for position, end in enumerate(ends):
            if end not in servers:
                document.add((*path, position), f"no server '{end}'{suggest(end, servers)}")
        if ends[0] == ends[1]:
            document.add(path, f"'{ends[0]}' is linked with itself: name two servers")
            continue
        first = seen.setdefault(frozenset(ends), index)
        if first != index and all(end in servers for end in ends):
            line = document.where(("links", first))[0]
            message = f"{ends[0]} and {ends[1]} are linked already, by links[{first}] in line {line}: remove one"
            document.add(path, f"{message} (a link holds for both directions; see `forward` and `backward`)")
        tls = {_given(document, servers, end, "tls") for end in ends if end in servers}
        if {"required", "off"} <= tls and _mapping(link).get("comes_up") is not False:
            message = f"no stanza could pass between {ends[0]} and {ends[1]}: one requires TLS, the other has it off"
            document.add(path, f"{message}; make one of them `tls: optional`")


def _given(document: Document, servers: Data, name: str, key: str) -> object:
    """What holds for a server: its own word, that of the defaults, the default of all (TLS is required)."""
    defaults = _mapping(_mapping(document.data).get("defaults"))
    return _mapping(servers[name]).get(key, defaults.get(key, "required"))


def _domains(document: Document, servers: Data) -> None:
    """No domain twice, none below another: a server answers for names below its own domain (rooms.<domain>)."""
    owners: dict[str, str] = {}
    for name, settings in servers.items():
        given = _mapping(settings).get("domain")
        domain = given if isinstance(given, str) else f"{name}.test"
        path = ("servers", name, "domain") if given is not None else ("servers", name)
        if domain in owners:
            message = f"the domain {domain} belongs to '{owners[domain]}' already: give one of them another `domain`"
            document.add(path, message, key=given is None)
        owners.setdefault(domain, name)
    for domain, name in owners.items():
        above = next((other for other in owners if domain.endswith(f".{other}")), None)
        if above is not None:
            message = (
                f"{domain} lies below {above}, where '{owners[above]}' has its rooms and uploads: use another domain"
            )
            document.add(("servers", name, "domain"), message)


def _server(document: Document, path: tuple[str, ...], settings: Data, defaults: Data) -> None:
    """Settings of one server that exclude each other."""
    tls = settings.get("tls", defaults.get("tls"))
    authentication = settings.get("authentication", defaults.get("authentication"))
    if tls == "off" and authentication in ("external", "either") and {"tls", "authentication"} & settings.keys():
        given = "authentication" if "authentication" in settings else "tls"
        message = f"authentication by certificate ({authentication}) needs TLS: use `authentication: dialback`"
        document.add((*path, given), f"{message}, or another `tls`")
    options = settings.get("options")
    if path == ("defaults",) and isinstance(options, dict) and not options.keys() & set(INSTALLED):
        document.add((*path, "options"), "say for which software: write `options: {prosody: {…}}`", key=True)
    software, address = settings.get("software"), settings.get("address")
    manifest = MANIFESTS.get(software) if isinstance(software, str) else None
    addressed = manifest is not None and manifest.started_by is StartedBy.PERSON
    if addressed and path != ("defaults",) and address is None:
        document.add((*path, "software"), f"an {software} server needs its `address`: add `address: 127.0.0.1:5269`")
    if address is not None and not addressed and path != ("defaults",):
        document.add(
            (*path, "address"),
            f"only a server with {_addressed()} has an address: the lab gives the others theirs",
            key=True,
        )
    if manifest is not None and manifest.accounts is Accounts.NONE and settings.get("users"):
        document.add(
            (*path, "users"), f"the lab makes no accounts on a server that is {software}: remove `users`", key=True
        )


def _addressed() -> str:
    return " or ".join(f"`software: {name}`" for name, one in MANIFESTS.items() if one.started_by is StartedBy.PERSON)


def _direct(document: Document) -> None:
    """Conditions are made by the lab's relays, which a direct link does not use."""
    data = _mapping(document.data)
    default = _mapping(data.get("defaults")).get("direct")
    for index, link in enumerate(_list(data.get("links"))):
        settings = _mapping(link)
        given = next((key for key in (*_CONDITIONS, "forward", "backward") if key in settings), None)
        if settings.get("direct", default) is True and given is not None:
            change = f"remove `{given}` or `direct`" if "direct" in settings else "add `direct: false`"
            message = f"this link is direct, and a direct link has no conditions: {change}"
            document.add(("links", index, given), message, key=True)


def _limits(document: Document) -> None:
    """Link fields that must not exceed another one, compared where conditions are combined."""
    data = _mapping(document.data)
    defaults = _mapping(data.get("defaults"))
    for field in (field for field in LINK_FIELDS if field.at_most):
        _limit(document, field, ("defaults",), [defaults])
        for index, entry in enumerate(_list(data.get("links"))):
            link = _mapping(entry)
            _limit(document, field, ("links", index), [link, defaults])
            for direction in ("forward", "backward"):
                layers = [_mapping(link.get(direction)), link, defaults]
                _limit(document, field, ("links", index, direction), layers)


def _limit(document: Document, field: LinkField, path: tuple[str | int, ...], layers: list[Data]) -> None:
    """Says it where one of the two is given: what is inherited whole has been looked at there."""
    given = next((key for key in (field.name, field.at_most) if key in layers[0]), None)
    if given is None:
        return
    other = next(one for one in LINK_FIELDS if one.name == field.at_most)
    try:
        value, most = (_inherited(one, layers) for one in (field, other))
    except UserError:  # reported at its own position
        return
    if value > most:
        shown = f"a {field.name} of {field.write(value)} is larger than the {other.name}, {other.write(most)}"
        document.add((*path, given), f"{shown}: {field.reason}, make one larger or the other smaller")


def _inherited(field: LinkField, layers: list[Data]) -> Any:
    """The value of the first layer that gives one. Raises UserError if it cannot be read."""
    return next((field.read(layer[field.name]) for layer in layers if field.name in layer), field.neutral)


def _empty(document: Document, value: object, path: tuple[str | int, ...], seen: set[int]) -> None:
    """A key without a value is an error, but `island:` among the servers is a server with no settings."""
    if id(value) in seen:  # aliases lead to the same place many times
        return
    if isinstance(value, dict):
        seen.add(id(value))
        for key, below in value.items():
            if below is None and path != ("servers",):
                document.add((*path, key), "has no value: give one, or remove the key", key=True)
            _empty(document, below, (*path, key), seen)
    elif isinstance(value, list):
        seen.add(id(value))
        for index, below in enumerate(value):
            _empty(document, below, (*path, index), seen)


def _mapping(value: object) -> Data:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def check_features(document: Document, topology: Topology) -> None:
    """Add a problem to the document for each setting that a server's software cannot have."""
    for server in topology.servers:
        for field, word, message in find_settings(server):
            path = _setting(document.data, server.name, field, word)
            shared = path[0] == "defaults"
            document.add(path, f"{server.name}: {message}" if shared else message)


def _setting(data: object, server: str, field: str, word: str) -> Steps:
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
                if isinstance(below, dict) and word in list_names(below):
                    return (*path, key)
        elif value is not None:
            return path
    return ("servers", server)

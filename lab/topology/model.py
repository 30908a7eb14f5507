"""The topology file as pydantic models: what may be written, with which values. schemas/topology.json is made of it.

Unset fields are None: which default then holds is decided in build.py, because it depends on `defaults`. What
concerns several places at once (a link to a server that is not there) is in references.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from lab.declarations.domains import a_labels, u_labels
from lab.declarations.features import FEATURES
from lab.declarations.links import LINK_FIELDS
from lab.declarations.servers import INSTALLED
from lab.declarations.units import parse_size
from lab.errors import UserError
from lab.topology import software
from lab.topology.faults import schema as faults_schema
from lab.topology.limits import MAX_LINKS, MAX_SERVERS
from lab.topology.shapes import KINDS, AnyShape
from lab.topology.spec import Authentication, Certificate, Feed, Placement, Tls, Unlinked
from lab.topology.words import suggest

MAX_USERS = 100_000  # per server; accounts are made at about 500 a second

LABEL_PATTERN = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
_DOMAIN_LABEL = r"[a-z0-9\u0080-\uffff]([a-z0-9\u0080-\uffff-]{0,61}[a-z0-9\u0080-\uffff])?"
DOMAIN_PATTERN = rf"^{_DOMAIN_LABEL}(\.{_DOMAIN_LABEL})*$"
NAME_PATTERN = rf"^(\*\.)?{DOMAIN_PATTERN[1:-1]}$"
OPTION_PATTERN = r"^[a-z][a-z0-9_]*$"
LEAST_STANZA, MOST_STANZA = 10_000, 1 << 30  # bytes
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MAX_DOMAIN = 200  # of the 253 that DNS allows: a server also has names below its domain, such as rooms.<domain>


def _checked(parse: Callable[[Any], Any]) -> BeforeValidator:
    """A validator of a function that raises UserError."""

    def validate(value: Any) -> Any:
        try:
            return parse(value)
        except UserError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _matches(pattern: str, text: str) -> bool:
    """Whether a pattern of the JSON Schema holds: there `$` is the end, in Python also before a last line feed."""
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None


def _label(text: str) -> str:
    if not _matches(LABEL_PATTERN, text):
        near = re.sub(r"[^a-z0-9-]+", "-", text.lower()).lstrip("-0123456789")[:63].rstrip("-")
        hint = f": write '{near}'" if near and near != text else ""
        rule = "lower-case letters, digits and hyphens, a letter first, at most 63"
        raise ValueError(f"{text!r} is not a DNS label ({rule}){hint}")
    return text


def check_domain(text: str) -> str:
    """The domain, if it can be a server's. Raises ValueError that says what is wrong with it."""
    if len(text) > MAX_DOMAIN:
        raise ValueError(f"a domain has at most {MAX_DOMAIN} characters, this one has {len(text)}")
    _normal(text)
    if not _matches(DOMAIN_PATTERN, text):
        raise ValueError(f"{text!r} is not a domain: write lower-case DNS labels with dots, such as island.test")
    if text.split(".")[-1] == "localhost":
        raise ValueError(f"'{text}' is this machine for every resolver (RFC 6761): write a domain such as island.test")
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"'{text}' is an address: write a domain such as island.test")
    return text


def _normal(text: str) -> None:
    """Raises ValueError for an internationalized domain that is not in its normal form, or is none."""
    try:
        normal, ascii_form = u_labels(text), a_labels(text)
    except UnicodeError as error:
        if text.isascii():
            return  # what is wrong with it is said in other words
        reason = str(getattr(error, "reason", error))
        raise ValueError(f"{text!r} is not a domain that has an ASCII form (RFC 3490): {reason}") from None
    if normal != text:
        raise ValueError(f"{text!r} is not in its normal form: write '{normal}'")
    if len(ascii_form) > MAX_DOMAIN:
        raise ValueError(f"a domain has at most {MAX_DOMAIN} characters, this one has {len(ascii_form)} in ASCII")


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    wrong = f"'{text}' is not an IP address and a port: write it like 127.0.0.1:5269"
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(wrong) from None
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(wrong)
    if address.version != 4 or not address.is_loopback:
        raise ValueError(f"{host} is not on this machine's loopback, and a lab stays inside: use one of 127.0.0.0/8")
    return text


def _two(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        given = f", not {len(value)}" if isinstance(value, list | tuple) else ""
        raise ValueError(f"must name two servers{given}: write `between: [a, b]`")
    return tuple(value)


def _several(value: Any) -> Any:
    """`prosody+ejabberd`, one name, or a list of names."""
    if isinstance(value, list | tuple):
        if not value:
            raise UserError("names no software: write `software: prosody`, or remove the key")
        return tuple(software.parse(each) for each in value)
    if not isinstance(value, str):
        return (software.parse(value),)
    return tuple(software.parse(each) for each in value.split("+"))


def _features(value: Any) -> Any:
    """`[+websocket, -mam]`; without a sign a feature is added."""
    given = value.split() if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise UserError("must be a list: write `features: [+websocket, -mam]`")
    changes: dict[str, str] = {}
    for each in given:
        change = each if isinstance(each, str) and each[:1] in ("+", "-") else f"+{each}"
        name = change[1:]
        if name not in FEATURES:
            raise UserError(f"no feature '{name}'{suggest(name, FEATURES)}")
        if changes.setdefault(name, change) != change:
            raise UserError(f"`{name}` is added and taken away: remove one of the two")
    return tuple(changes.values())


def _options(value: Any) -> Any:
    """Names are words, values plain data: both are rendered into a configuration."""
    if not isinstance(value, dict):
        raise UserError("must be a mapping of settings to values: write `options: {s2s_timeout: 30}`")
    by_software = [name for name in value if name in INSTALLED]
    if by_software and len(by_software) < len(value):
        other = next(name for name in value if name not in INSTALLED)
        raise UserError(f"`{other}` stands beside `{by_software[0]}`: give all of them by software, or none")
    for part in (value[name] for name in by_software) if by_software else (value,):
        if not isinstance(part, dict):
            raise UserError("must be a mapping of settings to values for each software")
        for name, each in part.items():
            if not _matches(OPTION_PATTERN, str(name)):
                raise UserError(f"'{name}' cannot be the name of a setting: lower-case letters, digits and _")
            _check_option(name, each)
    return value


def _check_option(name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _check_option(f"{name}.{key}", each)
    elif isinstance(value, list):
        for each in value:
            _check_option(name, each)
    elif not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
        raise UserError(f"`{name}` has no value that a configuration can hold: text, a number, true, false, a list")
    elif isinstance(value, str) and _CONTROL.search(value):
        raise UserError(f"`{name}` has a control character in it: leave it out")


def _stanza_size(value: Any) -> Any:
    size = parse_size(value)
    if not LEAST_STANZA <= size <= MOST_STANZA:
        raise UserError(f"must be from {LEAST_STANZA}B (RFC 6120 section 13.12) to {MOST_STANZA}B, not {value}")
    return size


def _certificate_name(text: str) -> str:
    _normal(text.removeprefix("*."))
    if not _matches(NAME_PATTERN, text):
        raise ValueError(f"{text!r} is no DNS name: write one such as island.test, or *.island.test for all below it")
    return text


def _text_schema(pattern: str, *examples: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples), **more})


_ONE_SOFTWARE = {"anyOf": [{"enum": software.list_spellings()}, {"type": "string", "pattern": r"(/|\.ya?ml$)"}]}
_SOFTWARE = Field(description=software.describe_values())

Name = Annotated[str, AfterValidator(_label), _text_schema(LABEL_PATTERN, "island")]
Domain = Annotated[str, AfterValidator(check_domain), _text_schema(DOMAIN_PATTERN, "island.test")]
Address = Annotated[str, AfterValidator(_address), _text_schema(r":[0-9]+$", "127.0.0.1:5269")]
Software = Annotated[software.Choice, _checked(software.parse), WithJsonSchema(_ONE_SOFTWARE)]
Softwares = Annotated[
    tuple[software.Choice, ...],
    _checked(_several),
    WithJsonSchema({"anyOf": [*_ONE_SOFTWARE["anyOf"], {"type": "array", "items": _ONE_SOFTWARE}, {"pattern": r"\+"}]}),
]
Users = Annotated[int, Field(strict=True, ge=0, le=MAX_USERS)]
Flag = Annotated[bool, Field(strict=True)]
Features = Annotated[
    tuple[str, ...],
    _checked(_features),
    WithJsonSchema({"type": "array", "items": {"enum": [sign + name for name in FEATURES for sign in ("+", "", "-")]}}),
]
Options = Annotated[dict[str, Any], _checked(_options), WithJsonSchema({"type": "object"})]
StanzaSize = Annotated[
    int, _checked(_stanza_size), WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ ?([kKM]?B|[KM]iB)$"})
]
CertificateNames = Annotated[
    tuple[Annotated[str, AfterValidator(_certificate_name), _text_schema(NAME_PATTERN, "*.island.test")], ...],
    Field(max_length=100),
]
Between = Annotated[
    tuple[str, str],
    BeforeValidator(_two),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}),
]


class Strict(BaseModel):
    """A mapping in which every key must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServerDefaults(Strict):
    """Settings of a server; in `defaults`, of all servers."""

    users: Users | None = None
    """Accounts made before the server is ready: user1, user2, … (default 0; 8 on a server described by a file of
    yours, which also gets as many for loads: load1, load2, …)."""
    tls: Tls | None = None
    """TLS with other servers; clients must use it in any case (default required)."""
    authentication: Authentication | None = None
    """How servers prove who they are: by certificate (external), by dialback, or either (default external; dialback
    where TLS is off)."""
    certificate: Certificate | None = None
    """The certificate it shows; all but `valid` are wrong on purpose (default valid)."""
    feed: Feed | None = None
    """What the feed of its stanzas contains: whole stanzas, only who and when, or nothing (default full)."""
    features: Features | None = None
    """What it has beside or without the usual: [+websocket, -mam]."""
    options: Options | None = None
    """Raw settings of its software, or by software: {prosody: {…}, ejabberd: {…}}; in `defaults` always by software."""
    max_stanza_size: StanzaSize | None = None
    """The largest stanza that it takes from clients and servers, such as 64KiB; at least 10000B (RFC 6120 13.12)."""
    certificate_names: CertificateNames | None = None
    """DNS names in its certificate, such as *.island.test (default: all its host names)."""
    operator: Name | None = None
    """Who runs it: a label for measures of exposure, which take an operator's servers together (default: its name)."""
    hosting: Name | None = None
    """On whose machines it runs: a label like `operator`, for networks that host servers (default: its name)."""


def _link_fields() -> dict[str, Any]:
    """Every link field as pydantic takes it: unset is None."""
    return {
        field.name: (
            Annotated[Any, _checked(field.read), WithJsonSchema(dict(field.schema))] | None,
            Field(None, description=field.about),
        )
        for field in LINK_FIELDS
    }


if TYPE_CHECKING:

    class LinkConditions(Strict):
        """What the way over a link is like."""

else:
    LinkConditions = create_model(
        "Conditions", __base__=Strict, __doc__="What the way over a link is like.", **_link_fields()
    )


class ServerSettings(ServerDefaults):
    """One server."""

    software: Annotated[Software | None, _SOFTWARE] = None
    domain: Domain | None = None
    """The part behind the @ of its users' addresses (default <name>.test)."""
    address: Address | None = None
    """Only with `software: external`: loopback address and port where it listens for other servers."""


class LinkSettings(LinkConditions):
    """Two servers that may federate, and what the way between them is like."""

    between: Between
    """The two servers."""
    forward: LinkConditions = LinkConditions()
    """Conditions from the first to the second server only; they go before those of the link."""
    backward: LinkConditions = LinkConditions()
    """Conditions from the second to the first server only; they go before those of the link."""
    direct: Flag | None = None
    """Past the lab's relays: no conditions, no faults on this link (default false)."""
    comes_up: Flag | None = None
    """`false`: a promise that no stream comes up on this link, because of a certificate, say (default true)."""


class Defaults(ServerDefaults, LinkConditions):
    """What holds for every server and every link that does not say otherwise."""

    software: Softwares | None = None
    """As for a server; several (prosody+ejabberd) are dealt in turn to the servers that name none."""
    direct: Flag | None = None
    """As for a link."""


Named = Annotated[
    dict[Name, Annotated[ServerSettings, BeforeValidator(lambda given: {} if given is None else given)]],
    Field(min_length=1, max_length=MAX_SERVERS),
]


class PeopleSettings(Strict):
    """The people of scenarios and tests."""

    placement: Placement | None = None
    """`each`: every person's devices are in a container or process of their own, with an address of its own, which is
    what servers see of clients; `together`: all are in one (default together)."""


class TopologyFile(Strict):
    """A federation: servers, and the links between them."""

    name: Name | None = None
    """Its name (default: the file's)."""
    teaches: str = ""
    """One sentence: what it is for."""
    defaults: Defaults = Defaults()
    """Settings of all servers and links that do not say otherwise."""
    servers: Named | None = None
    """Servers by name."""
    links: Annotated[tuple[LinkSettings, ...], Field(max_length=MAX_LINKS)] | None = None
    """Who may federate with whom. Servers do not relay: no link means no messages."""
    shape: AnyShape | None = None
    """Servers and links made by a rule, instead of `servers` and `links`."""
    people: PeopleSettings = PeopleSettings()
    """Where the people of scenarios and tests are."""
    faults: Annotated[Any, WithJsonSchema(faults_schema())] = None
    """What is broken on purpose, and when: scenarios and loads apply it, `up` does not."""
    unlinked: Unlinked | None = None
    """What happens between servers without a link: refused by policy at both ends, or by the network: the name does
    not exist, the port refuses, nothing answers (default not-allowed)."""


class FaultsFile(Strict):
    """Declared faults in a file of their own."""

    faults: Annotated[Any, WithJsonSchema(faults_schema())]
    """What is broken on purpose, and when."""


#: Names of Debian packages (Debian Policy section 5.6.7).
PACKAGE_PATTERN = r"^[a-z0-9][a-z0-9+.-]+$"


class CustomFile(Strict):
    """A server software of one's own, given as `software: ./mine.yaml`."""

    name: Name
    """What to call it."""
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The program and its arguments, relative to this file: how it is started as a process."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The image: how it is started as a container."""
    packages: tuple[Annotated[str, Field(pattern=PACKAGE_PATTERN)], ...] = ()
    """Packages of Debian trixie, which are fetched for the process and installed nowhere."""


def find_section(path: tuple[str | int, ...], data: object) -> type[BaseModel] | None:
    """The model of the mapping at a path of a topology file, None if there is none."""
    match path:
        case ():
            return TopologyFile
        case ("defaults",):
            return Defaults
        case ("servers", _):
            return ServerSettings
        case ("links", int()):
            return LinkSettings
        case ("links", int(), "forward" | "backward"):
            return LinkConditions
        case ("people",):
            return PeopleSettings
        case ("shape",):
            return KINDS.get(str(data.get("kind"))) if isinstance(data, dict) else None
    return None


def list_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a mapping of this model may have."""
    return tuple(model.model_fields)

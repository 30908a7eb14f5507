"""prosody.cfg.lua of one server, as text.

What is on: PEP, archives (people and rooms, always, without expiry), carbons, stream management (also between
servers), offline storage, blocking, vCards, bookmarks, rooms, HTTP upload; TLS for clients always. What is off: rate
limits, in-band registration (until mod_lab_admin is asked for it), XEP-0288 (a link has directions), direct TLS ports
(the lab's DNS has no xmpps records).
Every module costs start time, and a hundred of these are started at once: only what a scenario can use is loaded.

Names in the tables below are Prosody's; see its documentation of each module for what an option means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.declarations.domains import a_labels
from lab.declarations.encryptions import list_bodies, list_elements
from lab.declarations.servers.prosody import MANIFEST
from lab.servers.conventions import CLIENT_CERTIFICATES, FEED, LOG, PROBE_PATIENCE, READY
from lab.servers.software import Blueprint, File
from lab.topology.spec import Authentication, Feed, Server, Tls

CONFIGURATION = "prosody.cfg.lua"
#: Its text changes when rosters were written: mod_lab_rosters reads it before each use of what is in memory.
STAMP = "rosters.stamp"

#: Messages in one archive. At Prosody's own 10,000 a full archive is read and written whole for a message, which takes
#: 40 ms: a server that carried 2,800 messages a second carries 20 then, and what a load measured is how full it was.
ARCHIVE = 1_000_000_000

#: Seconds for which an uploaded file is kept, ten years: Prosody 0.12 does not load the module with "never".
FILES_KEPT = 10 * 365 * 24 * 3600

#: Prosody's own time for a stream between servers to be authenticated, in seconds, and round trips that one takes.
S2S_TIMEOUT, CROSSINGS = 90, 10

MODULES = (
    "roster", "saslauth", "tls", "disco", "pep", "ping", "carbons", "smacks", "blocklist", "vcard4", "vcard_legacy",
    "bookmarks", "mam", "csi_simple", "admin_shell",
)  # fmt: skip

#: Modules that are PEP, or load it by themselves.
_PEP = ("pep", "vcard4", "vcard_legacy", "bookmarks")

Value = str | int | float | bool | list["Value"] | dict[str, "Value"]

#: Raw settings that are added to the lab's own instead of taking their place.
_ADDED = ("modules_enabled", "modules_disabled")
#: A file that sets the secret of components: it is written when a lab is made, because a plan has no secrets.
SECRETS = "secrets.cfg.lua"

#: Lua's own pace, instead of Prosody's (105, 500), which collects at every 5 % of growth: while the heap is built up
#: that is half of all the time a start takes (205 against 104 ms of CPU). It costs 1.5 MB of memory.
GARBAGE_COLLECTION: dict[str, Value] = {"mode": "incremental", "threshold": 200, "speed": 200}


def render_configuration(blueprint: Blueprint) -> File:
    """The whole file."""
    spec = blueprint.spec
    own = _network(blueprint) | _storage(blueprint) | _encryption(blueprint) | _limits(spec) | _modules(blueprint)
    sections = [
        f"-- xmpplab: {spec.name} ({spec.domain})",
        render_options(_with_raw(own, spec.options)),
        *([f"Include {quote(f'{blueprint.folder}/{SECRETS}')}"] if spec.has("component") else []),
        f"VirtualHost {quote(spec.domain)}\n" + render_options(_host(blueprint) | _ascii_names(spec.domain)),
        f'Component {quote("conference." + spec.domain)} "muc"\n' + render_options(_rooms(blueprint)),
        f'Component {quote("upload." + spec.domain)} "http_file_share"\n'
        + render_options(_uploads(blueprint) | _ascii_names("upload." + spec.domain)),
        *_added_hosts(blueprint),
    ]
    return File(CONFIGURATION, "\n\n".join(sections) + "\n")


def _ascii_names(host: str) -> dict[str, Value]:
    """What TLS calls an internationalized host: else Prosody knows it by U-labels there, which no client says."""
    name = a_labels(host)
    return {} if name == host else {"http_host": name, "c2s_direct_tls_host": name}


def render_secrets(password: str) -> File:
    """What the file of secrets says: components (XEP-0114) have the lab's password."""
    return File(SECRETS, render_options({"component_secret": password}) + "\n")


def _with_raw(own: dict[str, Value], raw: Mapping[str, Value]) -> dict[str, Value]:
    """The lab's settings with those of the topology, which take their place or are added."""
    merged = dict(own)
    for name, value in raw.items():
        both = name in _ADDED and isinstance(value, list)
        before = merged.get(name, [])
        merged[name] = [*before, *value] if both and isinstance(before, list) and isinstance(value, list) else value
    return merged


def _added_hosts(blueprint: Blueprint) -> list[str]:
    """Hosts of features that are not there by themselves."""
    domain, policy = blueprint.spec.domain, {"modules_enabled": list[Value](_policy(blueprint))}
    hosts: dict[str, tuple[str, dict[str, Value]]] = {
        "pubsub": (f'Component {quote(f"pubsub.{domain}")} "pubsub"', {"admins": [f"user1@{domain}"]}),
        "anonymous": (
            f"VirtualHost {quote(f'anonymous.{domain}')}",
            {"authentication": "anonymous", **_ascii_names(f"anonymous.{domain}")},
        ),
        "component": (f"Component {quote(f'component.{domain}')}", {}),
    }
    return [
        f"{head}\n{render_options({**policy, **own})}"
        for name, (head, own) in hosts.items()
        if blueprint.spec.has(name)
    ]


def _limits(spec: Server) -> dict[str, Value]:
    size = spec.max_stanza_size
    return {"c2s_stanza_size_limit": size, "s2s_stanza_size_limit": size} if size else {}


def _network(blueprint: Blueprint) -> dict[str, Value]:
    address, port = blueprint.dns
    return {
        "interfaces": [blueprint.address],
        "use_ipv6": False,
        **({"s2s_timeout": round(S2S_TIMEOUT + CROSSINGS * blueprint.round_trip)} if blueprint.round_trip else {}),
        "c2s_direct_tls_ports": [str(MANIFEST.ports.client_tls)],
        "s2s_direct_tls_ports": [],
        "http_ports": [],
        "https_ports": [str(MANIFEST.ports.https)],
        **(
            {"component_interfaces": [blueprint.address], "component_ports": [str(MANIFEST.ports.component)]}
            if blueprint.spec.has("component")
            else {}
        ),
        "unbound": {
            "resolvconf": False,
            "hoststxt": False,
            "forward": f"{address}@{port}",
            # libunbound answers for .test by itself, and never asks an address of loopback, unless configured to.
            "options": {"local-zone:": "test. transparent", "do-not-query-localhost:": "no"},
        },
    }


def _storage(blueprint: Blueprint) -> dict[str, Value]:
    folder = blueprint.folder
    return {
        "data_path": f"{folder}/data",
        "pidfile": f"{folder}/prosody.pid",
        "admin_socket": f"{folder}/{MANIFEST.socket}",
        "log": {"info": f"{folder}/{LOG}"},
        "storage": "internal",
        "authentication": "internal_hashed",
        "default_archive_policy": True,
        "archive_expires_after": "never",
        "storage_archive_item_limit": ARCHIVE,
        "gc": GARBAGE_COLLECTION,
    }


def _encryption(blueprint: Blueprint) -> dict[str, Value]:
    spec, certificates = blueprint.spec, f"{blueprint.folder}/certs"
    certified = spec.authentication is Authentication.EXTERNAL
    for_clients: dict[str, Value] = {}
    if not spec.proves_domain:  # the wrong one is for servers: users log in as usual
        pair: dict[str, Value] = {
            "certificate": f"{blueprint.folder}/{CLIENT_CERTIFICATES}/{a_labels(spec.domain)}.crt",
            "key": f"{blueprint.folder}/{CLIENT_CERTIFICATES}/{a_labels(spec.domain)}.key",
        }
        for_clients = {"c2s_ssl": pair, "c2s_direct_tls_ssl": pair}
    return for_clients | {
        "certificates": certificates,
        "ssl": {
            "certificate": f"{certificates}/{a_labels(spec.domain)}.crt",
            "key": f"{certificates}/{a_labels(spec.domain)}.key",
            "cafile": f"{certificates}/authority.pem",
            "capath": certificates,  # holds no hashed names, so nothing but the lab's authority is trusted
        },
        "c2s_require_encryption": True,
        "s2s_allow_encryption": spec.tls is not Tls.OFF,
        # Where only certificates count, TLS cannot be left out: Prosody would say so in its log.
        "s2s_require_encryption": spec.tls is Tls.REQUIRED or certified,
        "s2s_secure_auth": certified,
    }


def _modules(blueprint: Blueprint) -> dict[str, Value]:
    spec = blueprint.spec
    off = (() if spec.has("mam") else ("mam",)) + (() if spec.has("pep") else _PEP)
    enabled: list[Value] = [name for name in MODULES if name not in off]
    enabled += ["s2s_bidi"] if spec.has("bidi") else []
    enabled += _websocket(spec.version) if spec.has("websocket") else []
    disabled: list[Value] = []
    if spec.authentication is not Authentication.EXTERNAL:
        enabled.append("dialback")
    if spec.authentication is Authentication.DIALBACK:
        disabled.append("s2s_auth_certs")
    options: dict[str, Value] = {"plugin_paths": [blueprint.modules]}
    if spec.feed is not Feed.OFF:
        enabled.append("lab_feed")
        options |= {
            "lab_feed": spec.feed.value,
            "lab_feed_file": f"{blueprint.folder}/{FEED}",
            "lab_feed_encrypted": list(list_elements()),
            "lab_feed_encrypted_bodies": list(list_bodies()),
        }
    if _policy(blueprint):
        enabled.append("lab_policy")
        options |= _policy_options(blueprint)
    if spec.has("pep") and not spec.has("open-pep"):
        enabled.append("lab_contacts_only")
    if not spec.has("encrypted-messages"):
        enabled.append("lab_no_encryption")
        options |= {
            "lab_no_encryption_elements": list(list_elements()),
            "lab_no_encryption_bodies": list(list_bodies()),
        }
    return {"modules_enabled": enabled, "modules_disabled": disabled} | options


def _websocket(version: str) -> list[Value]:
    """RFC 7395; host-meta (XEP-0156) came with Prosody 13."""
    return ["websocket"] if version == "0.12" else ["websocket", "http_altconnect"]


def _policy(blueprint: Blueprint) -> list[str]:
    """The policy module, where there is something for it to do."""
    needed = blueprint.allow is not None or blueprint.spec.authentication is Authentication.DIALBACK
    return ["lab_policy"] if needed else []


def _policy_options(blueprint: Blueprint) -> dict[str, Value]:
    options: dict[str, Value] = {}
    if blueprint.allow is not None:
        options |= {"lab_allow": list(blueprint.allow), "lab_allow_outbound": blueprint.outbound}
    if blueprint.spec.authentication is Authentication.DIALBACK:
        options["lab_no_external"] = True
    return options


_HOST_MODULES = ("lab_probe", "lab_rosters", "lab_admin")


def _host(blueprint: Blueprint) -> dict[str, Value]:
    slow: dict[str, Value] = {}
    if blueprint.round_trip:
        slow = {"lab_probe_patience": round(PROBE_PATIENCE + 2 * blueprint.round_trip)}
    return slow | {
        "modules_enabled": list(_HOST_MODULES),
        "lab_rosters_stamp": f"{blueprint.folder}/{STAMP}",
        "lab_probes": list(blueprint.probes),
        "lab_ready_file": f"{blueprint.folder}/{READY}",
    }


#: Settings of the lab's configuration that a server's own one gets in a lab: where its files are.
_PLACES = ("data_path", "pidfile", "admin_socket", "log", "gc", "plugin_paths")


def list_lab_settings(blueprint: Blueprint) -> tuple[dict[str, Value], dict[str, Value]]:
    """What a lab adds to a configuration that is not its own: settings for all hosts, and for the domain's."""
    own = _storage(blueprint) | _modules(blueprint)
    everywhere = {name: value for name, value in own.items() if name in _PLACES or name.startswith("lab_")}
    host, enabled = _host(blueprint), own["modules_enabled"]
    assert isinstance(enabled, list)
    wanted = [name for name in (*enabled, *_HOST_MODULES) if str(name).startswith("lab_")]
    return everywhere, host | {"modules_enabled": wanted}


def _rooms(blueprint: Blueprint) -> dict[str, Value]:
    return {
        "modules_enabled": [*(["muc_mam"] if blueprint.spec.has("mam") else []), *_policy(blueprint)],
        "muc_log_by_default": True,
        "muc_log_expires_after": "never",
    }


def _uploads(blueprint: Blueprint) -> dict[str, Value]:
    return {
        "modules_enabled": list[Value](_policy(blueprint)),
        "http_file_share_expires_after": FILES_KEPT,
        "http_external_url": f"https://upload.{a_labels(blueprint.spec.domain)}:{MANIFEST.ports.https}/",
    }


def render_options(options: dict[str, Value]) -> str:
    """Settings as lines of Lua, without an end of line."""
    return "\n".join(f"{name} = {_lua(value)}" for name, value in options.items())


def _lua(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return quote(value)
        case list():
            return "{ " + "".join(f"{_lua(each)}; " for each in value) + "}"
        case dict():
            return "{ " + "".join(f"[{quote(name)}] = {_lua(each)}; " for name, each in value.items()) + "}"


def quote(text: str) -> str:
    """A Lua string. Control characters are written as their numbers: no text ends the string or the line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\{ord(found[0]):03d}", escaped) + '"'

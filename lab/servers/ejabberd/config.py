"""ejabberd.yml and inetrc of one server, as text.

On and off as for Prosody: PEP with settable nodes, archives (people and rooms, always), carbons, stream management
towards clients (ejabberd has none between servers), offline storage, blocking, vCards, rooms, HTTP upload; no shapers
(rate limits), no registration (until it is opened), no XEP-0288, no direct TLS, no web administration.

Limit: ejabberd cannot refuse SASL EXTERNAL. With `authentication: dialback` it uses dialback where the other side
does not use EXTERNAL: for ejabberd it means the same as `either`.

Names in the tables below are ejabberd's; see its documentation for what an option means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from lab.declarations.domains import a_labels
from lab.declarations.encryptions import list_bodies, list_elements
from lab.declarations.features import WEBSOCKET_PATH
from lab.declarations.servers.ejabberd import MANIFEST
from lab.servers.conventions import FEED, PROBE_PATIENCE, READY
from lab.servers.ejabberd.accounts import INITIAL
from lab.servers.software import Blueprint, File
from lab.topology.spec import Authentication, Feed, Tls

CONFIGURATION = "ejabberd.yml"
INETRC = "inetrc"
DATA = "data"
MESSAGES = "messages"

#: Part of the configuration that sets the secret of components: written when a lab is made, a plan has no secrets.
SECRETS = "secrets.yml"
MACRO = "COMPONENT_SECRET"

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]

#: ejabberd's own time for a stream to be negotiated, in seconds, and round trips that one takes.
NEGOTIATION, CROSSINGS = 120, 10

_STARTTLS: dict[Tls, Value] = {Tls.REQUIRED: "required", Tls.OPTIONAL: "optional", Tls.OFF: False}

#: What OpenSSL is to refuse, as in Debian's own configuration of ejabberd.
TLS_OPTIONS = ["no_sslv3", "no_tlsv1", "no_tlsv1_1", "cipher_server_preference", "no_compression"]

#: Nodes may hold this many items: OMEMO has one or a few, bookmarks and avatars more.
MOST_ITEMS = 1000


def render_configuration(blueprint: Blueprint) -> File:
    """The whole ejabberd.yml."""
    spec = blueprint.spec
    options = _general(blueprint) | _federation(blueprint) | {"listen": _listen(blueprint)}
    options |= {"modules": _modules(blueprint)}
    if spec.has("component"):
        options = {"include_config_file": {f"{blueprint.folder}/{SECRETS}": {}}} | options
    options = _merge(options, spec.options)
    return File(CONFIGURATION, f"# xmpplab: {spec.name} ({spec.domain})\n" + render_yaml(options))


def render_secrets(password: str) -> File:
    """What the file of secrets says: components (XEP-0114) have the lab's password."""
    return File(SECRETS, render_yaml({"define_macro": {MACRO: password}}))


def _merge(own: Mapping[str, Value], raw: Mapping[str, Value]) -> dict[str, Value]:
    """The lab's settings with those of the topology: mappings are merged, anything else takes the place."""
    merged = dict(own)
    for name, value in raw.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return merged


def render_messages() -> File:
    """Translations: none. Reading all of ejabberd's takes a quarter of its start."""
    return File(f"{MESSAGES}/en.msg", "%% English needs no translation.\n")


def render_inetrc(blueprint: Blueprint) -> File:
    """Whom Erlang asks for SRV records, and for addresses (modules/net.erl)."""
    address, port = blueprint.dns
    numbers = ",".join(address.split("."))
    text = (
        "{lookup,[file,dns]}.\n"
        '{resolv_conf,"/dev/null"}.\n'
        '{hosts_file,"/dev/null"}.\n'
        f"{{nameserver,{{{numbers}}},{port}}}.\n"
        "{timeout,2000}.\n"
        "{retry,3}.\n"
    )
    return File(INETRC, text)


def _general(blueprint: Blueprint) -> dict[str, Value]:
    spec, certificates = blueprint.spec, f"{blueprint.folder}/certs"
    return {
        "hosts": [spec.domain],
        "loglevel": "info",
        "log_rotate_count": 0,
        "ca_file": f"{certificates}/authority.pem",
        "certfiles": [f"{certificates}/{a_labels(spec.domain)}.{end}" for end in ("crt", "key")],
        "c2s_protocol_options": TLS_OPTIONS,
        "s2s_protocol_options": TLS_OPTIONS,
        **(
            {"auth_method": ["internal", "anonymous"], "anonymous_protocol": "sasl_anon"}
            if spec.has("anonymous")
            else {"auth_method": "internal"}
        ),
        "auth_password_format": "scram",
        "auth_use_cache": False,  # mod_lab_accounts writes past it
        "registration_timeout": "infinity",  # seconds between two accounts from one address
        "disable_sasl_mechanisms": ["digest-md5", "x-oauth2"],
        "shaper_rules": {"max_user_sessions": 100, "max_user_offline_messages": 5000},
        "acl": {"local": {"user_regexp": ""}},
        "access_rules": {"local": {"allow": "local"}},
    }


def _federation(blueprint: Blueprint) -> dict[str, Value]:
    return {
        "s2s_use_starttls": _STARTTLS[blueprint.spec.tls],
        "s2s_cafile": f"{blueprint.folder}/certs/authority.pem",
        "s2s_max_retry_delay": 1,  # seconds; else one failure makes it bounce for minutes
        "outgoing_s2s_families": ["ipv4"],
        **(
            {"negotiation_timeout": round(NEGOTIATION + CROSSINGS * blueprint.round_trip)}
            if blueprint.round_trip
            else {}
        ),
    }


def _listen(blueprint: Blueprint) -> list[Value]:
    def listener(port: int, module: str, **options: Value) -> dict[str, Value]:
        return {"port": port, "ip": blueprint.address, "module": module, **options}

    spec = blueprint.spec
    size: dict[str, Value] = {"max_stanza_size": spec.max_stanza_size} if spec.max_stanza_size else {}
    handlers: dict[str, Value] = {"/upload": "mod_http_upload"}
    if spec.has("websocket"):
        handlers |= {
            WEBSOCKET_PATH: "ejabberd_http_ws",
            "/.well-known/host-meta": "mod_host_meta",
            "/.well-known/host-meta.json": "mod_host_meta",
        }
    component = {f"component.{spec.domain}": {"password": MACRO}}
    listeners = [
        listener(MANIFEST.ports.client, "ejabberd_c2s", starttls=True, starttls_required=True, **size),
        listener(MANIFEST.ports.client_tls, "ejabberd_c2s", tls=True, **size),
        listener(MANIFEST.ports.server, "ejabberd_s2s_in", **size),
        listener(MANIFEST.ports.https, "ejabberd_http", tls=True, request_handlers=handlers),
    ]
    if spec.has("component"):
        listeners.append(listener(MANIFEST.ports.component, "ejabberd_service", hosts=component))
    return [*listeners]


def _modules(blueprint: Blueprint) -> dict[str, Value]:
    spec, folder = blueprint.spec, blueprint.folder
    archived = spec.has("mam")
    modules: dict[str, Value] = {
        "mod_blocking": {},
        "mod_caps": {},
        "mod_carboncopy": {},
        "mod_client_state": {},
        "mod_disco": {},
        **({"mod_host_meta": {}} if spec.has("websocket") else {}),
        "mod_http_upload": {
            "put_url": f"https://upload.{a_labels(spec.domain)}:{MANIFEST.ports.https}/upload",
            "docroot": f"{folder}/{DATA}/upload",
        },
        **({"mod_mam": {"default": "always", "assume_mam_usage": True}} if archived else {}),
        "mod_muc": {"access_create": "all", "access_mam": "all", "default_room_options": {"mam": archived}},
        "mod_offline": {},
        "mod_ping": {},
        "mod_privacy": {},
        "mod_private": {},
        "mod_pubsub": {
            "plugins": ["flat", *(["pep"] if spec.has("pep") else [])],
            "max_items_node": MOST_ITEMS,
            **({} if spec.has("open-pep") else {"force_node_config": {"*": {"access_model": "presence"}}}),
            "ignore_pep_from_offline": False,
            "access_createnode": "local",
        },
        "mod_register": {"access": "none"},  # until mod_lab_accounts is asked for it
        "mod_roster": {"versioning": True},
        "mod_stream_mgmt": {},
        "mod_vcard": {"search": False},
        "mod_lab_accounts": {"initial_file": f"{folder}/{INITIAL}", "socket": f"{folder}/{MANIFEST.socket}"},
        "mod_lab_probe": {"ready_file": f"{folder}/{READY}", "probes": blueprint.probes, **_patience(blueprint)},
    }
    if spec.authentication is not Authentication.EXTERNAL:
        modules["mod_s2s_dialback"] = {}
    if spec.feed is not Feed.OFF:
        modules["mod_lab_feed"] = {
            "mode": spec.feed.value,
            "file": f"{folder}/{FEED}",
            "encrypted": list_elements(),
            "encrypted_bodies": list_bodies(),
        }
    if not spec.has("encrypted-messages"):
        modules["mod_lab_no_encryption"] = {"elements": list_elements(), "bodies": list_bodies()}
    if blueprint.allow is not None:
        modules["mod_lab_policy"] = {"outbound": blueprint.outbound, "allow": blueprint.allow}
    return modules


def list_lab_settings(blueprint: Blueprint) -> dict[str, Value]:
    """What a lab adds to a configuration that is not its own."""
    modules = {name: value for name, value in _modules(blueprint).items() if name.startswith("mod_lab_")}
    return {"auth_use_cache": False, "modules": modules}


def _patience(blueprint: Blueprint) -> dict[str, Value]:
    slow = blueprint.round_trip
    return {"patience": round(PROBE_PATIENCE + 2 * slow)} if slow else {}


def render_yaml(value: Mapping[str, Value], indent: str = "") -> str:
    """Block style; a name that is a plain word has no quotes, as ejabberd wants its keywords."""
    return "".join(f"{indent}{_scalar(name)}:{_item(each, indent)}" for name, each in value.items())


def _item(value: Value, indent: str) -> str:
    """What follows a colon or dash, with the end of its line."""
    match value:
        case str() | int() | float():
            return f" {_scalar(value)}\n"
        case Mapping():
            return f"\n{render_yaml(value, indent + '  ')}" if value else " {}\n"
        case _:
            lines = "".join(f"{indent}  -{_item(each, indent + '  ')}" for each in value)
            return f"\n{lines}" if value else " []\n"


def _scalar(value: str | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if value == MACRO:
        return value
    plain = re.fullmatch(r"[a-z][a-z0-9_]*", value) and value not in ("true", "false", "null", "yes", "no", "on", "off")
    return value if plain else json.dumps(value, ensure_ascii=False)

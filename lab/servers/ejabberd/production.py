"""ejabberd.yml for a real server, and the same file in a lab.

What is on is what the lab has on (config.py), without the lab's own modules, and with what a server on the Internet
needs beside it: shapers, push notifications, a contact address, a limit of failed logins, quotas for uploads.

Limits: ejabberd stores passwords with 4096 rounds of PBKDF2 and has no setting for that; archives expire only when
`ejabberdctl delete_old_mam_messages` is run, so a timer does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.declarations.domains import a_labels
from lab.declarations.servers.ejabberd import MANIFEST
from lab.servers.ejabberd.config import (
    CONFIGURATION,
    MOST_ITEMS,
    TLS_OPTIONS,
    Value,
    list_lab_settings,
    render_yaml,
)
from lab.servers.replacements import Replacement, replace_settings
from lab.servers.software import Blueprint, File, Production, Project, ProjectServer
from lab.topology.spec import Server

CERTIFICATES = "/etc/ejabberd/certs"

#: The exported file in a server's folder of a lab, beside the lab's own, which includes it.
EXPORTED = "exported.yml"

#: Days for which messages and uploaded files are kept.
KEPT = 28

_HEAD = """\
# ejabberd {version}: {domain}. A start for a real server, made by xmpplab from the configuration of its labs.
# Every line with CHANGE says what is yours to decide. A wrong file is refused by: ejabberdctl reload_config

"""


_FEDERATION = "CHANGE: to federate with nobody, or with some only, set s2s_access to none, or to a rule of your own"

_PROJECT_HEAD = """\
# ejabberd {version}: {domain}. A server of a Compose project, made by xmpplab from the configuration of its labs.

"""

#: Nothing but ejabberdctl in the same container talks to its node.
_CONTROL = """\
ERLANG_NODE=ejabberd@localhost
INET_DIST_INTERFACE=127.0.0.1
ERL_EPMD_ADDRESS=127.0.0.1
ERL_OPTIONS="+S 1 +sbwt none"
"""

#: An Erlang machine makes a table with an entry for each file it may open, and some engines allow a thousand million.
_START = (
    '[ "$(ulimit -n)" -le 65536 ] || ulimit -n 65536; mkdir -p {data}/mnesia {data}/log && exec ejabberdctl foreground'
)

#: Addresses by the C library. SRV records, of which there are none, are asked for where nothing listens: the engine's
#: own DNS would not answer, and each new stream would wait for half a minute.
_INETRC = """\
{lookup,[file,native]}.
{resolv_conf,"/dev/null"}.
{nameserver,{127,0,0,1}}.
"""


def _render_text(spec: Server, project: Project | None) -> str:
    """The whole configuration, of a real server or of one in a project."""
    sections: tuple[tuple[str, Mapping[str, Value]], ...] = (
        ("", {"hosts": [spec.domain], "loglevel": "info"}),
        (
            "Encryption: nobody gets in without TLS; other servers need a certificate that is valid.",
            _encryption(spec, project),
        ),
        ("Accounts: only administrators make them; passwords are stored as SCRAM-SHA-256 keys.", _accounts()),
        (
            f'CHANGE: who administers this server, for example  - "you@{spec.domain}"',
            {"acl": {"local": {"user_regexp": ""}, "admin": {"user": []}, **_peers(project)}},
        ),
        (_FEDERATION if project is None else "Who may federate with this server.", _access(project)),
        (
            f"Network. Ports {MANIFEST.ports.client} to {MANIFEST.ports.https}, as dns and firewall have them.",
            {"listen": _listen()},
        ),
        (
            "What is on.\nCHANGE: the address for reports of abuse, and the limits of uploads, in mod_disco and "
            "mod_http_upload",
            {"modules": _modules(spec)},
        ),
    )
    head = (_PROJECT_HEAD if project else _HEAD).format(version=spec.version, domain=spec.domain)
    return head + "\n".join(_comment(comment) + render_yaml(options) for comment, options in sections)


def _peers(project: Project | None) -> dict[str, Value]:
    return {"peers": {"server": project.peers}} if project and project.peers else {}


def render_project_server(spec: Server, project: Project) -> ProjectServer:
    """The same server in a Compose project."""
    return ProjectServer(
        files=(
            File(CONFIGURATION, _render_text(spec, project)),
            File("ejabberdctl.cfg", _CONTROL),
            File("inetrc", _INETRC),
        ),
        packages=("ejabberd",),
        program="ejabberdctl",
        user="ejabberd",
        environment=(
            ("CONFIG_DIR", project.configuration),
            ("SPOOL_DIR", f"{project.data}/mnesia"),
            ("LOGS_DIR", f"{project.data}/log"),
            ("HOME", project.data),
        ),
        command=("/bin/sh", "-c", _START.format(data=project.data)),
        add_account=("ejabberdctl", "register", "{user}", "{domain}", "{password}"),
    )


def render_production(spec: Server) -> Production:
    """The configuration of a real server like this one, and what goes with it."""
    return Production(
        configuration=File(CONFIGURATION, _render_text(spec, None), 0o640),
        target=f"/etc/ejabberd/{CONFIGURATION}",
        packages=("ejabberd",),
        user="ejabberd",
        certificates=CERTIFICATES,
        check="ejabberdctl status",
        add_account="ejabberdctl register you {domain} PASSWORD",
        apply="systemctl restart ejabberd",
        reload="ejabberdctl reload_config",
        snapshot=_SNAPSHOT,
        restore=(
            "systemctl stop ejabberd",
            "tar --extract --gzip --file upload.tar.gz --directory /var/lib/ejabberd",
            "systemctl start ejabberd",
            "install -m 600 -o ejabberd mnesia.backup /var/lib/ejabberd/restore",
            "ejabberdctl restore /var/lib/ejabberd/restore",
        ),
        retention=(f"ejabberdctl delete_old_mam_messages all {KEPT}",),
    )


#: ejabberd writes the backup itself, as its own user, and into its own folder only.
_SNAPSHOT = """\
install -d -m 700 -o ejabberd -g ejabberd /var/lib/ejabberd/backup
ejabberdctl backup /var/lib/ejabberd/backup/mnesia.backup
mv /var/lib/ejabberd/backup/mnesia.backup "$folder/mnesia.backup"
install -d -o ejabberd -g ejabberd /var/lib/ejabberd/upload
tar --create --gzip --file "$folder/upload.tar.gz" --directory /var/lib/ejabberd upload || [ $? -eq 1 ]"""


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())


def _encryption(spec: Server, project: Project | None) -> dict[str, Value]:
    certificates = project.certificates if project else CERTIFICATES
    authority = f"{certificates}/authority.pem" if project else "/etc/ssl/certs/ca-certificates.crt"
    return {
        "certfiles": [f"{certificates}/{a_labels(spec.domain)}.{end}" for end in ("crt", "key")],
        "ca_file": authority,
        "c2s_protocol_options": TLS_OPTIONS,
        "s2s_protocol_options": TLS_OPTIONS,
        "s2s_use_starttls": "required",
        "s2s_max_retry_delay": 10,
    }


def _accounts() -> dict[str, Value]:
    return {
        "auth_method": "internal",
        "auth_password_format": "scram",
        "auth_scram_hash": "sha256",
        "disable_sasl_mechanisms": ["digest-md5", "x-oauth2"],
    }


def _access(project: Project | None) -> dict[str, Value]:
    peers: dict[str, Value] = {"peers": {"allow": "peers"}} if _peers(project) else {}
    access = "all" if project is None else "peers" if peers else "none"
    return {
        "s2s_access": access,
        "access_rules": {"local": {"allow": "local"}, "configure": {"allow": "admin"}, **peers},
        "shaper": {"normal": {"rate": 10_000, "burst_size": 50_000}, "fast": {"rate": 30_000, "burst_size": 150_000}},
        "shaper_rules": {
            "max_user_sessions": 20,
            "max_user_offline_messages": 5000,
            "c2s_shaper": "normal",
            "s2s_shaper": "fast",
        },
    }


def _listen() -> list[Value]:
    def listener(port: int, module: str, **options: Value) -> dict[str, Value]:
        return {"port": port, "ip": "::", "module": module, **options}

    ports = MANIFEST.ports
    clients: dict[str, Value] = {"max_stanza_size": 262_144, "shaper": "c2s_shaper"}
    servers: dict[str, Value] = {"max_stanza_size": 524_288, "shaper": "s2s_shaper"}
    return [
        listener(ports.client, "ejabberd_c2s", starttls=True, starttls_required=True, **clients),
        listener(ports.client_tls, "ejabberd_c2s", tls=True, **clients),
        listener(ports.server, "ejabberd_s2s_in", **servers),
        listener(ports.https, "ejabberd_http", tls=True, request_handlers={"/upload": "mod_http_upload"}),
    ]


def _modules(spec: Server) -> dict[str, Value]:
    archived, upload = spec.has("mam"), f"https://upload.{a_labels(spec.domain)}:{MANIFEST.ports.https}/upload"
    abuse: Mapping[str, Value] = {
        "modules": "all", "name": "abuse-addresses", "urls": [f"mailto:abuse@{spec.domain}"],
    }  # fmt: skip
    return {
        "mod_blocking": {},
        "mod_caps": {},
        "mod_carboncopy": {},
        "mod_client_state": {},
        "mod_disco": {"server_info": [abuse]},
        "mod_fail2ban": {},
        "mod_http_upload": {"put_url": upload, "max_size": 16 * 1024 * 1024},
        "mod_http_upload_quota": {"max_days": KEPT},
        **({"mod_mam": {"default": "always", "assume_mam_usage": True}} if archived else {}),
        "mod_muc": {"access_create": "local", "access_mam": "all", "default_room_options": {"mam": archived}},
        "mod_offline": {},
        "mod_ping": {"send_pings": True},
        "mod_privacy": {},
        "mod_private": {},
        "mod_pubsub": {
            "plugins": ["flat", "pep"],
            "max_items_node": MOST_ITEMS,
            "ignore_pep_from_offline": False,
            "access_createnode": "local",
        },
        "mod_push": {},
        "mod_push_keepalive": {},
        "mod_register": {"access": "none"},
        "mod_roster": {"versioning": True},
        "mod_stream_mgmt": {},
        "mod_vcard": {"search": False},
    }


def _replacements(blueprint: Blueprint) -> tuple[Replacement, ...]:
    certificates = f"{blueprint.folder}/certs/{a_labels(blueprint.spec.domain)}"
    pair = render_yaml({"certfiles": [f"{certificates}.{end}" for end in ("crt", "key")]}).rstrip("\n")
    authority = render_yaml({"ca_file": f"{blueprint.folder}/certs/authority.pem"}).rstrip("\n")
    address = render_yaml({"ip": blueprint.address}).rstrip("\n")
    return (
        Replacement("certfiles", r"^certfiles:(?:\n +- .*)+$", pair),
        Replacement("ca_file", r"^ca_file: .*$", authority),
        Replacement("ip", r"^( +)ip: .*$", address),
    )


def render_in_lab(blueprint: Blueprint) -> tuple[File, ...]:
    """The exported file with other addresses and certificates, and the lab's own, which includes it.

    The lab's file adds its modules (feed, probe, policy, administration). Raises UserError if the exported file lacks
    a setting that is to be replaced.
    """
    text = replace_settings(blueprint.spec.configuration, _replacements(blueprint))
    included: dict[str, Value] = {"include_config_file": {f"{blueprint.folder}/{EXPORTED}": {}}}
    # ejabberd merges the lists of two files, such as modules, and refuses any other option that both have
    added = {name: value for name, value in list_lab_settings(blueprint).items() if not _sets(text, name)}
    own = f"# xmpplab: what a lab adds to {EXPORTED}\n" + render_yaml(included | added)
    return File(CONFIGURATION, own), File(EXPORTED, text)


def _sets(text: str, name: str) -> bool:
    return name != "modules" and re.search(rf"^{name}:", text, re.MULTILINE) is not None


def find_password_hash(configuration: str) -> str:
    """The hash with which this configuration stores passwords: "sha1", "sha256"."""
    found = re.search(r"^auth_scram_hash: \"?(sha256|sha)\b", configuration, re.MULTILINE)
    return "sha1" if found is None or found[1] == "sha" else found[1]

"""prosody.cfg.lua for a real server, and the same file in a lab.

What is on is what the lab has on (config.py), without the lab's own modules, and with what a server on the Internet
needs beside it: rate limits, push notifications, a contact address, archives and files that expire. Prosody's own
defaults are not repeated, but for settings that --verify replaces and those that people look for.
"""

from __future__ import annotations

import re

from lab import packaged
from lab.declarations.domains import a_labels
from lab.declarations.servers.prosody import MANIFEST
from lab.errors import UserError
from lab.servers.prosody.config import CONFIGURATION, MODULES, list_lab_settings, quote, render_options
from lab.servers.replacements import Replacement, replace_settings
from lab.servers.software import Blueprint, File, Production, Project, ProjectServer
from lab.topology.spec import Server

CERTIFICATES = "/etc/prosody/certs"

#: The exported file in a server's folder of a lab, beside the lab's own, which includes it.
EXPORTED = "exported.cfg.lua"

#: PBKDF2 rounds of a new password's hash: ten times what Prosody takes by itself, and XEP-0438 at least wants.
ITERATIONS = 100_000

POLICY = "lab_policy"

_ADDED = ("limits", "private", "tombstones", "time", "uptime", "server_contact_info")
_SINCE_13 = ("cloud_notify", "account_activity")

_TEXT = """\
{head}
-- CHANGE: who administers this server, as addresses, for example {{ "you@{domain}" }}
admins = {{ }}

-- Who wants to report abuse finds this address (XEP-0157).
-- CHANGE: an address that somebody reads
contact_info = {{ abuse = {{ "mailto:abuse@{domain}" }} }}

modules_enabled = {{
{modules}
}}

-- Network. Ports {client} and {server} are Prosody's own defaults.
interfaces = {{ "*"; "::"; }}
c2s_direct_tls_ports = {{ {client_tls} }}
http_ports = {{ }}
https_ports = {{ {https} }}
-- The machine's resolver. One on the machine itself that validates DNSSEC is better (apt install unbound).
unbound = {{ resolvconf = true; {resolver}}}
limits = {{ c2s = {{ rate = "10kb/s"; burst = "5s"; }}; s2sin = {{ rate = "30kb/s"; burst = "5s"; }}; }}

-- Encryption: nobody gets in without TLS, and other servers need a certificate that is valid for their domain.
certificates = "{certificates}"
ssl = {{ {authority}; }}
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = true
-- CHANGE: to federate with nobody, write modules_disabled = {{ "s2s" }}
modules_disabled = {{ }}

-- Accounts: only administrators make them (prosodyctl adduser). Passwords are stored as SCRAM-SHA-256 keys.
allow_registration = false
authentication = "internal_hashed"
password_hash = "SHA-256"
default_iteration_count = {iterations}

-- Data. CHANGE: how long messages are kept in people's archives; "never" keeps them for ever
archive_expires_after = "4w"
default_archive_policy = true
{policy}
VirtualHost {vhost}
{host_options}
Component {rooms} "muc"
modules_enabled = {{ {room_modules}}}
restrict_room_creation = "local"
muc_log_by_default = true
-- CHANGE: how long messages are kept in the archives of rooms
muc_log_expires_after = "4w"

Component {uploads} "http_file_share"
http_external_url = "https://upload.{ascii}:{https}/"
-- CHANGE: how large an uploaded file may be, and how much one person may upload a day, in bytes
http_file_share_size_limit = 16 * 1024 * 1024
http_file_share_daily_quota = 256 * 1024 * 1024
-- CHANGE: how long uploaded files are kept, in seconds: 30 days
http_file_share_expires_after = 30 * 24 * 3600
{upload_modules}{upload_options}"""


_HEAD = """\
-- Prosody {version}: {domain}. A start for a real server, made by xmpplab from the configuration of its labs.
-- Every line with CHANGE says what is yours to decide. Check the file with: prosodyctl check
"""

_PROJECT_HEAD = """\
-- Prosody {version}: {domain}. A server of a Compose project, made by xmpplab from the configuration of its labs.
"""

#: Who may federate: a module of xmpplab, the only one in a project.
_POLICY = """\

-- Who may federate with this server; modules/mod_{module}.lua sees to it.
plugin_paths = {{ {modules} }}
data_path = {data}
pidfile = "/tmp/prosody.pid"
lab_allow = {{ {peers} }}
"""


_NAMES = "names.lua"
_NAMES_TEXT = """\
-- Where the engine asks for what it does not know itself, such as SRV records: there is no such name (RFC 1035 section
-- 4.1.1). Without an answer each new stream would wait for half a minute.
local udp = assert(require "socket".udp());
assert(udp:setsockname("127.0.0.1", 53));
while true do
	local query, address, port = udp:receivefrom();
	if query and #query >= 12 then
		local answer = query:sub(1, 2) .. "\\x81\\x83" .. query:sub(5, 6) .. "\\0\\0\\0\\0\\0\\0" .. query:sub(13);
		udp:sendto(answer, address, port);
	end
end
"""


def _render_text(spec: Server, project: Project | None) -> str:
    """The whole configuration, of a real server or of one in a project."""
    archived, domain = spec.has("mam"), spec.domain
    policy = [POLICY] if project else []
    names = [*(name for name in MODULES if name != "mam" or archived), *_ADDED, *policy]
    names += _SINCE_13 if spec.version != "0.12" else ()
    certificates = project.certificates if project else CERTIFICATES
    authority = f'cafile = "{certificates}/authority.pem"; capath = "{certificates}"'
    return (
        _TEXT.format(
            head=(_PROJECT_HEAD if project else _HEAD).format(version=spec.version, domain=domain),
            domain=domain,
            ascii=a_labels(domain),
            modules="\n".join(f"\t{quote(name)};" for name in names),
            client=MANIFEST.ports.client,
            server=MANIFEST.ports.server,
            client_tls=MANIFEST.ports.client_tls,
            https=MANIFEST.ports.https,
            certificates=certificates,
            authority=authority if project else 'capath = "/etc/ssl/certs"',
            resolver=f"options = {{ {_LOCAL} }}; " if project else "",
            policy=_render_policy(project) if project else "",
            iterations=ITERATIONS,
            vhost=quote(domain),
            host_options=_ascii(domain),
            rooms=quote(f"conference.{domain}"),
            room_modules="".join(f"{quote(name)}; " for name in (*(["muc_mam"] if archived else []), *policy)),
            uploads=quote(f"upload.{domain}"),
            upload_modules=f"modules_enabled = {{ {quote(POLICY)} }}\n" if project else "",
            upload_options=_ascii(f"upload.{domain}"),
        ).rstrip("\n")
        + "\n"
    )


def _render_policy(project: Project) -> str:
    return _POLICY.format(
        module=POLICY,
        modules=quote(f"{project.configuration}/modules"),
        data=quote(project.data),
        peers="".join(f"{quote(peer)}; " for peer in project.peers),
    )


def render_project_server(spec: Server, project: Project) -> ProjectServer:
    """The same server in a Compose project."""
    policy = (packaged.PACKAGE / f"servers/prosody/modules/mod_{POLICY}.lua").read_text(encoding="utf-8")
    path = f"{project.configuration}/{CONFIGURATION}"
    return ProjectServer(
        files=(
            File(CONFIGURATION, _render_text(spec, project)),
            File(f"modules/mod_{POLICY}.lua", policy),
            File(_NAMES, _NAMES_TEXT),
        ),
        packages=("prosody", "lua-unbound", "lua5.4"),
        program="prosody",
        user="prosody",
        environment=(("PROSODY_CONFIG", path),),
        command=("/bin/sh", "-c", f"lua5.4 {project.configuration}/{_NAMES} & exec prosody -F --config {path}"),
        add_account=("prosodyctl", "--config", path, "register", "{user}", "{domain}", "{password}"),
    )


def render_production(spec: Server) -> Production:
    """The configuration of a real server like this one, and what goes with it."""
    return Production(
        configuration=File(CONFIGURATION, _render_text(spec, None), 0o640),
        target=f"/etc/prosody/{CONFIGURATION}",
        packages=("prosody", "lua-unbound"),
        user="prosody",
        certificates=CERTIFICATES,
        check="prosodyctl check",
        add_account="prosodyctl adduser you@{domain}",
        apply="systemctl restart prosody",
        reload="systemctl reload prosody",
        snapshot='tar --create --gzip --file "$folder/data.tar.gz" --directory /var/lib/prosody . || [ $? -eq 1 ]',
        restore=(
            "systemctl stop prosody",
            "tar --extract --gzip --file data.tar.gz --directory /var/lib/prosody",
            "systemctl start prosody",
        ),
        retention=(),
    )


def _ascii(host: str) -> str:
    name = a_labels(host)
    return "" if name == host else f"http_host = {quote(name)}\nc2s_direct_tls_host = {quote(name)}\n"


#: What differs in a lab: a whole line each.
def _replacements(blueprint: Blueprint) -> tuple[Replacement, ...]:
    folder, (address, port) = blueprint.folder, blueprint.dns
    certificates = quote(f"{folder}/certs")
    resolver = f'resolvconf = false; hoststxt = false; forward = "{address}@{port}"; options = {{ {_LOCAL} }};'
    authority = quote(f"{folder}/certs/authority.pem")
    return (
        Replacement("interfaces", r"^interfaces = .*$", f"interfaces = {{ {quote(blueprint.address)}; }}"),
        Replacement("unbound", r"^unbound = .*$", f"unbound = {{ {resolver} }}"),
        Replacement("certificates", r"^certificates = .*$", f"certificates = {certificates}"),
        Replacement("ssl", r"^ssl = .*$", f"ssl = {{ cafile = {authority}; capath = {certificates}; }}"),
    )


#: Modules that only the domain has: the lab's would take their place.
_HOST_MODULES = re.compile(r"^VirtualHost(?:(?!^Component)[^\0])*^modules_enabled", re.MULTILINE)

_LOCAL = '["local-zone:"] = "test. transparent"; ["do-not-query-localhost:"] = "no";'


def render_in_lab(blueprint: Blueprint) -> tuple[File, ...]:
    """The exported file with other addresses and certificates, and the lab's own, which includes it.

    The lab's file adds its modules (feed, probe, policy, administration) and says where data and log are.
    Raises UserError if the exported file lacks a setting that is to be replaced.
    """
    spec = blueprint.spec
    text = replace_settings(spec.configuration, _replacements(blueprint))
    if _HOST_MODULES.search(text):
        raise UserError(f"{EXPORTED}: the VirtualHost has its own `modules_enabled`: move them to those above it")
    everywhere, host = list_lab_settings(blueprint)
    own = "\n".join(
        (
            f"-- xmpplab: what a lab adds to {EXPORTED}",
            render_options(everywhere),
            f"Include {quote(f'{blueprint.folder}/{EXPORTED}')}",
            f"VirtualHost {quote(spec.domain)}",
            render_options(host),
        )
    )
    return File(CONFIGURATION, own + "\n"), File(EXPORTED, text)


def find_password_hash(configuration: str) -> str:
    """The hash with which this configuration stores passwords: "sha1" or "sha256"."""
    found = re.search(r'^password_hash = "SHA-(1|256)"', configuration, re.MULTILINE)
    return f"sha{found[1]}" if found else "sha1"

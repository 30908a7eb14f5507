"""Prosody (Debian): configuration, accounts and what it is known to do. The parts are in the files beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

from lab.declarations.servers.prosody import MANIFEST
from lab.servers.common import find_hint
from lab.servers.conventions import FEED, LOG, OUTPUT
from lab.servers.prosody.accounts import render_accounts
from lab.servers.prosody.config import render_configuration, render_secrets
from lab.servers.prosody.launch import build_command, build_environment
from lab.servers.prosody.production import find_password_hash, render_in_lab, render_production, render_project_server
from lab.servers.prosody.rosters import render_rosters
from lab.servers.prosody.tools import render_prosodyctl
from lab.servers.software import (
    REFUSED_STREAM,
    AdminStanza,
    Blueprint,
    File,
    Operation,
    Production,
    Project,
    ProjectServer,
    Refusal,
    Registration,
    Rendered,
    ScramKeys,
    Software,
    UnpackedTree,
    WriteFiles,
)
from lab.topology.spec import Server, Unlinked

#: What Prosody 13.0 and 0.12 give a sender, measured: the condition, and twice the time it took or a little more.
_REFUSALS = {
    Unlinked.NOT_ALLOWED: Refusal(("not-allowed",), 2.0),
    Unlinked.NXDOMAIN: Refusal(("remote-server-not-found",), 2.0),
    Unlinked.REFUSED: Refusal(("remote-server-not-found",), 2.0),
    Unlinked.UNREACHABLE: Refusal(("remote-server-not-found",), 30.0),  # gives up on the connection after 20 s
}

_HINTS = (
    (r"A problem occurred while reading the config file", "its configuration has a syntax error"),
    (r"Error loading (?:private key|certificate)|error:.*:PEM|no start line|key values mismatch|Failed to load",
     "its certificate or key cannot be read"),
    (r"Another Prosody instance seems to be running", "it already runs in the same folder"),
    (r"module '(?:lunbound|ssl|lxp|socket)' not found", "its unpacked packages are incomplete"),
)  # fmt: skip


class Prosody(Software):
    """`software: prosody@13.0`."""

    name = "prosody"

    def render(self, blueprint: Blueprint) -> Rendered:
        """prosody.cfg.lua and the command that runs it."""
        files = render_in_lab(blueprint) if blueprint.spec.configuration else (render_configuration(blueprint),)
        return Rendered(files, build_command(blueprint), build_environment(blueprint))

    def production(self, spec: Server) -> Production | None:
        """prosody.cfg.lua of a real server."""
        return render_production(spec)

    def project(self, spec: Server, project: Project) -> ProjectServer | None:
        """prosody.cfg.lua and the policy module."""
        return render_project_server(spec, project)

    def password_hash(self, spec: Server) -> str:
        """As the configuration says, if it is not the lab's own."""
        return find_password_hash(spec.configuration)

    def tools(self, tree: UnpackedTree) -> tuple[File, ...]:
        """prosodyctl."""
        return render_prosodyctl(tree)

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """Files of its internal storage: it opens them at each login, so they count at once."""
        return (WriteFiles(render_accounts(domain, users, keys)),)

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """The same files."""
        return render_accounts(domain, users, keys)

    def secrets(self, spec: Server, keys: ScramKeys) -> tuple[File, ...]:
        """The secret of components."""
        return (render_secrets(keys.password),) if spec.has("component") else ()

    def rosters(self, domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[Operation, ...]:
        """Files of its internal storage, and a stamp that makes it forget those in its memory."""
        return (WriteFiles(render_rosters(domain, rosters)),)

    def registration(self, mode: Registration) -> tuple[Operation, ...] | None:
        """A stanza to the lab's mod_lab_admin."""
        return (_build_request("registration", mode=mode.value),)

    def invitation(self) -> tuple[Operation, ...] | None:
        """A stanza to the lab's mod_lab_admin."""
        return (_build_request("invitation"),)

    def deletion(self, users: Sequence[str]) -> tuple[Operation, ...] | None:
        """A stanza each to the lab's mod_lab_admin."""
        return tuple(_build_request("delete", user=user) for user in users)

    def refusals(self, domains: Sequence[str]) -> tuple[Operation, ...] | None:
        """A stanza to the lab's mod_lab_admin."""
        return (_build_request("refuse", " ".join(domains)),)

    def ping(self, domain: str, within: float) -> tuple[Operation, ...] | None:
        """A stanza to the lab's mod_lab_admin."""
        return (replace(_build_request("ping", to=domain, within=f"{within:.3f}"), extra=within),)

    def reload(self) -> tuple[Operation, ...] | None:
        """A stanza to the lab's mod_lab_admin."""
        return (_build_request("reload"),)

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Measured on 13.0.1 and 0.12.3."""
        return _REFUSALS[kind]

    def refused_stream(self, version: str) -> Refusal:
        """As measured with each kind of wrong certificate."""
        return REFUSED_STREAM

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """See _HINTS and the common ones."""
        return find_hint(log, _HINTS)

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Its stores are data/<host>/<store>/<user>.dat|list; all but accounts, archives and uploads are "store"."""
        return {
            "feed": (FEED,),
            "log": (LOG, OUTPUT),
            "archive": ("data/*/archive/*", "data/*/muc_log/*"),
            "uploads": ("data/*/http_file_share/*",),
            "store": ("data/*/*.*", *(f"data/*/{name}/*" for name in _OTHERS)),
        }


def _build_request(request: str, text: str = "", **attributes: str) -> AdminStanza:
    given = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    return AdminStanza(MANIFEST.socket, f"<lab-{request}{given}>{escape(text)}</lab-{request}>")


#: Names of stores, none of which is "accounts", "archive", "http_file_share" or "muc_log".
_OTHERS = (
    "[!ahm]*", "h[!t]*", "a[!cr]*", "ac[!c]*", "account_*", "archive_*", "m[!u]*", "mu[!c]*", "muc[!_]*", "muc_[!l]*"
)  # fmt: skip

SOFTWARE = Prosody()

"""ejabberd (Debian): configuration, accounts and what it is known to do. The parts are in the files beside this one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lab.declarations.servers.ejabberd import MANIFEST
from lab.servers.common import find_hint
from lab.servers.conventions import FEED, OUTPUT
from lab.servers.ejabberd.accounts import INITIAL, render_accounts
from lab.servers.ejabberd.config import render_configuration, render_inetrc, render_messages, render_secrets
from lab.servers.ejabberd.launch import build_command, build_compile_command, build_environment, tools
from lab.servers.ejabberd.production import find_password_hash, render_in_lab, render_production, render_project_server
from lab.servers.ejabberd.rosters import render_rosters
from lab.servers.software import (
    REFUSED_STREAM,
    Blueprint,
    File,
    HttpCall,
    Operation,
    Production,
    Project,
    ProjectServer,
    Refusal,
    Registration,
    Rendered,
    ScramKeys,
    Software,
)
from lab.topology.spec import Server, Unlinked

#: What ejabberd 24.12 and 23.01 give a sender, measured: the condition, and twice the time it took or a little more.
_REFUSALS = {
    Unlinked.NOT_ALLOWED: Refusal(("forbidden",), 2.0),
    Unlinked.NXDOMAIN: Refusal(("remote-server-not-found",), 2.0),
    Unlinked.REFUSED: Refusal(("remote-server-timeout",), 2.0),
    Unlinked.UNREACHABLE: Refusal(("remote-server-timeout",), 20.0),  # gives up on the connection after 10 s
}

_HINTS = (
    (r"Invalid value of option|Unknown option|Failed to parse|yaml_parser_error|syntax error",
     "its configuration has an error"),
    (r"Failed to read PEM|bad_cert|Invalid certificate|no matching private key", "its certificate or key is bad"),
    (r"cannot get bootfile|error in config file|can't find file: 'ejabberd|undef.*ejabberd,start",
     "its unpacked packages are incomplete"),
    (r"\{undef,\[\{mod_lab_|Unknown module: '?mod_lab_", "the lab's modules are not compiled"),
)  # fmt: skip


#: Its folder, in which it is started, by a path of ASCII letters: by another one it finds no certificates, and some
#: modules do not start.
_HERE = "/proc/self/cwd"


class Ejabberd(Software):
    """`software: ejabberd@24.12`."""

    name = "ejabberd"

    def render(self, blueprint: Blueprint) -> Rendered:
        """ejabberd.yml, inetrc (its DNS), messages (no translations), ejabberdctl and the command that runs it."""
        if not blueprint.folder.isascii():
            blueprint = replace(blueprint, folder=_HERE)
        own = render_in_lab(blueprint) if blueprint.spec.configuration else (render_configuration(blueprint),)
        files = (*own, render_inetrc(blueprint), render_messages(), *tools(blueprint))
        return Rendered(files, build_command(blueprint), build_environment(blueprint))

    def production(self, spec: Server) -> Production | None:
        """ejabberd.yml of a real server."""
        return render_production(spec)

    def project(self, spec: Server, project: Project) -> ProjectServer | None:
        """ejabberd.yml, and the settings of ejabberdctl and Erlang's resolver."""
        return render_project_server(spec, project)

    def password_hash(self, spec: Server) -> str:
        """As the configuration says, if it is not the lab's own."""
        return find_password_hash(spec.configuration)

    def build(self, prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...] | None:
        """Erlang's own compiler over every file of `source`; fails on a warning."""
        return build_compile_command(prefix, libraries, source, target)

    def accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[Operation, ...]:
        """One call to the lab's module."""
        return (HttpCall(MANIFEST.socket, "/accounts", render_accounts(users, keys)),)

    def initial_accounts(self, domain: str, users: Sequence[str], keys: ScramKeys) -> tuple[File, ...]:
        """A file that the lab's module reads before it says that the server has started."""
        return (File(INITIAL, render_accounts(users, keys)),)

    def secrets(self, spec: Server, keys: ScramKeys) -> tuple[File, ...]:
        """The secret of components."""
        return (render_secrets(keys.password),) if spec.has("component") else ()

    def rosters(self, domain: str, rosters: Mapping[str, Sequence[str]]) -> tuple[Operation, ...]:
        """One call to the lab's module."""
        return (HttpCall(MANIFEST.socket, "/rosters", render_rosters(rosters)),)

    def forget(self, users: Sequence[str]) -> tuple[Operation, ...]:
        """One call to the lab's module. A person's archive is a bag in dets, which is read whole for each message."""
        return (HttpCall(MANIFEST.socket, "/forget", json.dumps(list(users))),)

    def registration(self, mode: Registration) -> tuple[Operation, ...] | None:
        """One call to the lab's module; no invitations (they came after 24.12)."""
        if mode is Registration.INVITED:
            return None
        return (HttpCall(MANIFEST.socket, "/registration", json.dumps(mode.value)),)

    def deletion(self, users: Sequence[str]) -> tuple[Operation, ...] | None:
        """One call to the lab's module."""
        return (HttpCall(MANIFEST.socket, "/delete", json.dumps(list(users))),)

    def refusals(self, domains: Sequence[str]) -> tuple[Operation, ...] | None:
        """One call to the lab's module."""
        return (HttpCall(MANIFEST.socket, "/refuse", json.dumps(list(domains))),)

    def ping(self, domain: str, within: float) -> tuple[Operation, ...] | None:
        """One call to the lab's module."""
        body = json.dumps({"to": domain, "within": round(within * 1000)})
        return (HttpCall(MANIFEST.socket, "/ping", body, within),)

    def reload(self) -> tuple[Operation, ...] | None:
        """A command of ejabberdctl, run by the lab's module, which answers with its exit code."""
        return (HttpCall(MANIFEST.socket, "/ctl", "reload_config\0"),)

    def flush(self) -> tuple[Operation, ...]:
        """One call to the lab's module: mnesia by itself writes seconds later."""
        return (HttpCall(MANIFEST.socket, "/flush", ""),)

    def refusal(self, version: str, kind: Unlinked) -> Refusal:
        """Measured on 24.12 and 23.01."""
        return _REFUSALS[kind]

    def refused_stream(self, version: str) -> Refusal:
        """As measured with each kind of wrong certificate."""
        return REFUSED_STREAM

    def startup_hint(self, log: Sequence[str]) -> str | None:
        """See _HINTS and the common ones."""
        return find_hint(log, _HINTS)

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Its stores are files of Mnesia, a table each; LATEST.LOG holds the newest changes of all tables."""
        return {
            "feed": (FEED,),
            "log": ("*.log", OUTPUT),
            "archive": ("data/archive_*",),
            "uploads": ("data/upload/**/*",),
            "store": ("data/[!a]*", "data/a[!r]*"),
        }


SOFTWARE = Ejabberd()

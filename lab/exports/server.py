"""A real server to start from: everything for one domain, and the instructions in the order in which they are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.declarations.domains import a_labels
from lab.errors import UserError
from lab.exports.backup import render_backup
from lab.exports.certificates import HOOK, render_certificates
from lab.exports.firewall import render_firewall
from lab.exports.settings import split_settings
from lab.exports.zone import render_zone
from lab.servers import get_software
from lab.servers.software import File, Production
from lab.topology.model import check_domain
from lab.topology.spec import Server, Topology

_README = """\
# {domain}: an XMPP server of your own

{software} {version}, from Debian {suite}, with the configuration that xmpplab tests. You need a machine with
Debian {suite} that is always on, with a public address, and the domain {domain}. Each place to decide about is a line
with the word CHANGE in capitals: `grep -rn CHANGE .` lists them. Commands are for a root shell in this folder, on that
machine.

1. **Names.** Add the records of `dns/{ascii}.zone` to the domain's zone.
2. **Firewall.** `nft -c -f firewall/xmpp.nft` checks it, `nft -f firewall/xmpp.nft` loads it. To load it at each start:
   `cp firewall/xmpp.nft /etc/nftables.conf && systemctl enable nftables`.
3. **Software.** `apt-get install {packages}`
4. **Configuration.** `install -m 640 -o root -g {user} {configuration} {target}`
5. **Certificate.** `apt-get install certbot`,
   `install -D -m 755 certificates/deploy.sh {hook}`, then `sh certificates/obtain.sh`. certbot renews it and
   runs the hook.
6. **Start.** `{apply}`, then `{check}`.
7. **Accounts.** `{add_account}`. Nobody can register by themselves.
8. **Every day.** `install -m 755 {scripts} /usr/local/sbin/`, `install -m 644 daily/*.service daily/*.timer
   /etc/systemd/system/`, `systemctl daemon-reload`, `systemctl enable --now {timers}`.

To bring a copy back, in its folder:

{restore}

After a change of the configuration: `{apply}`. Before it, on a machine with xmpplab, run the changed files in a lab:

{verify}
"""


@dataclass(frozen=True)
class ServerExport:
    """The files of a real server. `spec` is the server of the topology that they come from, with the domain."""

    spec: Server
    production: Production
    files: tuple[File, ...]
    left_out: tuple[str, ...]  # settings of the topology that they do not have

    @property
    def configuration(self) -> str:
        """Path of the configuration among the files."""
        return f"{self.spec.software}/{self.production.configuration.path}"


def export_server(topology: Topology, name: str | None, domain: str, command: str) -> ServerExport:
    """A real server for a domain, like the server `name` of a topology; `command` is what verifies it.

    Without a name it is the server with most links, the first of several. Raises UserError.
    """
    spec, left_out = split_settings(replace(choose_server(topology, name), domain=_checked(domain)))
    production = get_software(spec.software).production(spec)
    if production is None:
        raise UserError(f"{spec.name} is {spec.software_name}, which the lab does not configure: use --server")
    taken = {host for other in topology.servers if other.name != spec.name for host in other.hosts}
    if shared := [host for host in spec.hosts if host in taken]:
        raise UserError(f"{domain}: another server of {topology.name} already has {shared[0]}: use another domain")
    export = ServerExport(spec, production, (), left_out)
    configuration = replace(production.configuration, path=export.configuration)
    files = (
        _readme(export, command),
        configuration,
        render_zone(spec),
        render_firewall(spec),
        *render_certificates(spec, production),
        *render_backup(production),
    )
    return replace(export, files=files)


def choose_server(topology: Topology, name: str | None) -> Server:
    """The server of that name; without one that with most links, the first of several. Raises UserError."""
    if name is None:
        return max(topology.servers, key=lambda server: len(topology.linked(server.name)))
    try:
        return topology.server(name)
    except KeyError:
        known = ", ".join(server.name for server in topology.servers)
        raise UserError(f"{topology.name} has no server {name!r}: it has {known}") from None


def _checked(domain: str) -> str:
    try:
        check_domain(domain)
    except ValueError as error:
        raise UserError(str(error)) from None
    if "." not in domain:
        raise UserError(f"{domain!r} is no domain of the Internet: write one with a dot, such as example.org")
    return domain


def _readme(export: ServerExport, command: str) -> File:
    spec, production = export.spec, export.production
    version = spec.manifest.version(spec.version)
    assert version is not None  # it is installed from packages
    timers = ["xmpp-backup", *(["xmpp-retention"] if production.retention else [])]
    text = _README.format(
        domain=spec.domain,
        ascii=a_labels(spec.domain),
        software=spec.software,
        version=spec.version,
        suite=version.suite,
        packages=" ".join(production.packages),
        user=production.user,
        configuration=export.configuration,
        target=production.target,
        hook=HOOK,
        apply=production.apply,
        check=production.check,
        add_account=production.add_account.format(domain=spec.domain),
        scripts=" ".join(f"daily/{name}" for name in timers),
        timers=" ".join(f"{name}.timer" for name in timers),
        restore=_code(production.restore),
        verify=_code([command]),
    )
    return File("README.md", text, 0o644)


def _code(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)

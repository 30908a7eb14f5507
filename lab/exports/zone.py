"""The DNS records of a real server, as a part of a zone file (RFC 1035 section 5): RFC 6120 section 3.2, XEP-0368."""

from __future__ import annotations

from lab.declarations.domains import a_labels
from lab.servers.software import File
from lab.topology.spec import Server

#: Name of the machine below the domain; SRV records lead to it, because they must not lead to an alias (RFC 2782).
MACHINE = "xmpp"

_ZONE = """\
; DNS records for {domain}: add them to its zone. A provider's web form takes name, type and value of each line.
$ORIGIN {domain}.
$TTL 3600

; CHANGE: the addresses of the server's machine; without IPv6 delete the lines with AAAA
{machine} IN A 192.0.2.1
{machine} IN AAAA 2001:db8::1

; The certificate authority asks the domain itself.
; CHANGE: the same addresses; delete both if the domain has a web site elsewhere, see certificates/obtain.sh
@ IN A 192.0.2.1
@ IN AAAA 2001:db8::1

; Host names that the server answers for below its domain.
{aliases}

; Where clients connect: STARTTLS, and TLS from the first byte.
_xmpp-client._tcp IN SRV 0 5 {client} {machine}
_xmpps-client._tcp IN SRV 0 5 {client_tls} {machine}

; Where other servers connect.
{servers}

; CHANGE: only this authority may issue certificates; its documentation tells how to add your own account to it
@ IN CAA 0 issue "letsencrypt.org"
"""


def render_zone(spec: Server) -> File:
    """The records of a server, for any of the authorities that certbot knows."""
    domain, ports = a_labels(spec.domain), spec.manifest.ports
    below = [a_labels(host).removesuffix(f".{domain}") for host in spec.hosts[1:]]
    names = ["_xmpp-server._tcp", *(f"_xmpp-server._tcp.{name}" for name in below)]
    text = _ZONE.format(
        domain=domain,
        machine=MACHINE,
        aliases="\n".join(f"{name} IN CNAME {MACHINE}" for name in below),
        client=ports.client,
        client_tls=ports.client_tls,
        servers="\n".join(f"{name} IN SRV 0 5 {ports.server} {MACHINE}" for name in names),
    )
    return File(f"dns/{domain}.zone", text, 0o644)

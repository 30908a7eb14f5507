"""The ports of a real server as a file for nftables: all others are closed."""

from __future__ import annotations

from lab.servers.software import File
from lab.topology.spec import Server

_RULES = """\
#!/usr/sbin/nft -f
# Lets in what an XMPP server needs, and nothing else. Check: nft -c -f xmpp.nft. Load: nft -f xmpp.nft.
# Keep your own connection open until a second one has worked.
# The two lines that follow let it be loaded again; other tables stay as they are.
table inet xmpp
delete table inet xmpp

table inet xmpp {{
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif "lo" accept
		meta l4proto {{ icmp, ipv6-icmp }} accept
		# CHANGE: the port of your SSH server, and any other service of this machine
		tcp dport 22 accept
		tcp dport 80 accept comment "certbot: certificates"
		tcp dport {client} accept comment "clients, STARTTLS"
		tcp dport {client_tls} accept comment "clients, TLS from the first byte"
		tcp dport {server} accept comment "other servers"
		tcp dport {https} accept comment "uploaded files"
	}}
}}
"""


def render_firewall(spec: Server) -> File:
    """The rules for a server's ports."""
    ports = spec.manifest.ports
    rules = _RULES.format(
        client=ports.client, client_tls=ports.client_tls, server=ports.server, https=ports.https
    )  # fmt: skip
    return File("firewall/xmpp.nft", rules, 0o644)

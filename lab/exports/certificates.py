"""How a real server gets its certificate and keeps it: certbot (RFC 8555), and a hook for renewals."""

from __future__ import annotations

from lab.declarations.domains import a_labels
from lab.servers.software import File, Production
from lab.topology.spec import Server

HOOK = "/etc/letsencrypt/renewal-hooks/deploy/xmpp"

_OBTAIN = """\
#!/bin/sh
# Gets the certificate of {domain}; certbot then renews it by itself, and runs {hook} each time.
# Run it once, as root, when the DNS records are there: apt-get install certbot; sh obtain.sh
set -eu

# CHANGE: where the authority writes to before something expires
email=you@{domain}

# CHANGE: how the domain is proved, if its addresses are not this machine's because its web site is elsewhere
# Then use --manual with --preferred-challenges=dns, or certbot's plugin for your DNS provider.
how=--standalone

certbot certonly "$how" --agree-tos --email "$email" --cert-name {domain} --key-type ecdsa \\
  {names}
RENEWED_LINEAGE=/etc/letsencrypt/live/{domain} {hook}
"""

_DEPLOY = """\
#!/bin/sh
# Gives a new certificate to the server. certbot runs it after each renewal: install it as {hook}.
set -eu
lineage=$RENEWED_LINEAGE
[ "$(basename "$lineage")" = {domain} ] || exit 0  # another certificate of this machine

install -d -m 750 -o root -g {user} {folder}
install -m 640 -o root -g {user} "$lineage/fullchain.pem" {folder}/{domain}.crt
install -m 640 -o root -g {user} "$lineage/privkey.pem" {folder}/{domain}.key
if systemctl --quiet is-active {user}; then {reload}; fi
"""


def render_certificates(spec: Server, production: Production) -> tuple[File, ...]:
    """A script that gets the first certificate, and the hook."""
    domain = a_labels(spec.domain)
    values = {
        "domain": domain,
        "hook": HOOK,
        "names": " ".join(f"--domain {a_labels(host)}" for host in spec.hosts),
        "user": production.user,
        "folder": production.certificates,
        "reload": production.reload,
    }
    return (
        File("certificates/obtain.sh", _OBTAIN.format(**values), 0o755),
        File("certificates/deploy.sh", _DEPLOY.format(**values), 0o755),
    )

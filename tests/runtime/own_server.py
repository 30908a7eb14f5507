"""Somebody's own server, as `software: ./mine.yaml` describes it: a Prosody that the lab did not configure."""

from __future__ import annotations

import json
import shlex

from lab.servers.prosody.launch import build_command, build_environment
from lab.servers.software import Blueprint
from lab.topology.spec import Server
from tests.runtime.helpers import facts_of

#: No module of the lab is in it.
CONFIGURATION = """
interfaces = { "$XMPPLAB_ADDRESS" }
modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "ping"; }
c2s_direct_tls_ports = {} s2s_direct_tls_ports = {} http_ports = {} https_ports = {}
authentication = "internal_plain"
data_path = "data" pidfile = "mine.pid" admin_socket = "mine.sock" log = "*console"
s2s_secure_auth = true
ssl = { certificate = "$XMPPLAB_CERTIFICATE"; key = "$XMPPLAB_KEY"; cafile = "$XMPPLAB_AUTHORITY"; capath = "certs" }
unbound = { resolvconf = false; hoststxt = false; forward = "${XMPPLAB_DNS%%:*}@${XMPPLAB_DNS##*:}";
  options = { ["local-zone:"] = "test. transparent"; ["do-not-query-localhost:"] = "no" } }
VirtualHost "$XMPPLAB_DOMAIN"
"""


async def description() -> str:
    """mine.yaml: a shell script that writes its configuration and accounts from what the lab gives it."""
    server = Server("mine", "mine.test", "prosody", "13.0")
    facts = await facts_of(server)
    blueprint = Blueprint(
        spec=server,
        address="",
        folder=".",
        prefix=dict(facts.prefixes)["prosody@13.0"],
        modules=facts.modules.format(software="prosody", version="13.0"),
        dns=("", 0),
        allow=None,
        probes=(),
        libraries=facts.libraries,
    )
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in build_environment(blueprint))
    script = f"""
        cat > prosody.cfg.lua <<END
{CONFIGURATION}
END
        accounts=data/$(echo "$XMPPLAB_DOMAIN" | sed 's/\\./%2e/g')/accounts
        mkdir -p "$accounts"
        password=$(sed -n 's/.*"password": "\\(.*\\)",/\\1/p' "$XMPPLAB_USERS")
        for user in $(grep -o '"[a-z]*[0-9]*",*$' "$XMPPLAB_USERS" | tr -d '",'); do
            echo "return {{ [\\"password\\"] = \\"$password\\" }}" > "$accounts/$user.dat"
        done
        export {variables}
        exec {shlex.join(build_command(blueprint))}
    """
    return json.dumps({"name": "mine", "command": ["/bin/sh", "-c", script]})

"""What a client program needs to log in on a server of a lab that is up: data for JSON output."""

from __future__ import annotations

from typing import Any

from lab.declarations.manifest import StartedBy
from lab.network.authority import CERTIFICATE
from lab.plan.layout import Layout
from lab.plan.model import ServerPlan
from lab.runtime.server_files import list_user_names


def build_client_settings(layout: Layout, server: ServerPlan, password: str) -> dict[str, Any]:
    """Ports, authority, DNS and accounts of a server. What must not get into a log is below the key `secret`.

    Ports are those of its `address`; they are null for a server that the lab does not start.
    """
    ports = server.spec.manifest.ports if server.spec.manifest.started_by is StartedBy.LAB else None
    return {
        "client_port": ports.client if ports else None,
        "client_tls_port": ports.client_tls if ports else None,
        "server_port": ports.server if ports else None,
        "https_port": ports.https if ports else None,
        "authority": str(layout.authority / CERTIFICATE),
        "dns": list(server.dns),
        "accounts": [f"{name}@{server.spec.domain}" for name in list_user_names(server.spec.users)],
        "secret": {"password": password},
    }

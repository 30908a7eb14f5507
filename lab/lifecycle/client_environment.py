"""What programs are told of a lab: variables for shells and .env files, data for JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.lifecycle.accounts import read_password
from lab.plan.client_view import Account, ClientView
from lab.plan.layout import Layout

PREFIX = "XMPPLAB_"


def describe_lab(layout: Layout, view: ClientView, accounts: Sequence[Account]) -> dict[str, Any]:
    """A lab as JSON; what must not get into a log is below the key `secret`."""
    return {
        "lab": view.lab,
        "runtime": view.runtime,
        "servers": [
            {
                "name": server.name,
                "domain": server.domain,
                "address": server.address,
                "client_port": server.client_port,
                "client_tls_port": server.client_tls_port,
                "server_port": server.server_port,
                "https_port": server.https_port,
                "muc": server.muc,
                "upload": server.upload,
                "websocket": server.websocket,
                "accounts": [one.jid for one in accounts if one.server.name == server.name],
            }
            for server in view.servers
        ],
        "authority": str(find_authority(layout)),
        "dns": list(view.dns),
        "secret": {"password": read_password(layout), "passwords": {one.jid: one.password for one in accounts}},
    }


def find_authority(layout: Layout) -> Path:
    """The file with the certificate of the lab's authority."""
    return layout.authority / "authority.pem"


def list_variables(layout: Layout, view: ClientView, accounts: Sequence[Account]) -> dict[str, str]:
    """A lab as variables: XMPPLAB_A_DOMAIN is the domain of server a, XMPPLAB_A_ALICE_PASSWORD belongs to alice@a.

    What a server does not have is left out.
    """
    address, port = view.dns
    found = {
        f"{PREFIX}NAME": view.lab,
        f"{PREFIX}SERVERS": " ".join(_word(server.name) for server in view.servers),
        f"{PREFIX}AUTHORITY": str(find_authority(layout)),
        f"{PREFIX}DNS": f"{address}:{port}",
        f"{PREFIX}PASSWORD": read_password(layout),
    }
    for server in view.servers:
        values = {
            "DOMAIN": server.domain,
            "ADDRESS": server.address,
            "CLIENT_PORT": server.client_port,
            "CLIENT_TLS_PORT": server.client_tls_port,
            "SERVER_PORT": server.server_port,
            "HTTPS_PORT": server.https_port,
            "MUC": server.muc,
            "UPLOAD": server.upload,
            "WEBSOCKET": server.websocket,
        }
        found |= {f"{PREFIX}{_word(server.name)}_{key}": str(value) for key, value in values.items() if value}
        for account in (one for one in accounts if one.server.name == server.name):
            word = f"{PREFIX}{_word(server.name)}_{_word(account.user)}"
            found |= {f"{word}_JID": account.jid, f"{word}_PASSWORD": account.password}
    return found


def list_account_variables(account: Account) -> dict[str, str]:
    """What `with --as` sets for the program."""
    server = account.server
    return {
        f"{PREFIX}JID": account.jid,
        f"{PREFIX}PASSWORD": account.password,
        f"{PREFIX}DOMAIN": server.domain,
        f"{PREFIX}ADDRESS": server.address,
    }


def format_variables(variables: Mapping[str, str], *, export: bool) -> str:
    """Lines for a POSIX shell, with `export`, or for a .env file."""
    start = "export " if export else ""
    return "".join(f"{start}{name}={shlex.quote(value)}\n" for name, value in variables.items())


def _word(text: str) -> str:
    """A name as a part of a variable's name (POSIX XBD 8.1): capital letters, digits and underscores."""
    return re.sub(r"[^A-Z0-9]", "_", text.upper())

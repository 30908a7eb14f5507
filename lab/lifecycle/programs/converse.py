"""Converse.js, a page in Chromium.

The page is a file: modules of JavaScript and WebAssembly are read beside it, so Chromium is told to let files read
files. It trusts the lab's authority by a database of NSS in the home, and has the lab's network only.
"""

from __future__ import annotations

import json
from pathlib import Path

from lab.errors import UserError
from lab.lifecycle.programs.program import HOME, ClientProgram, write_file
from lab.plan.client_view import Account
from lab.runtime.debian.npm import FOLDER, NpmPackage

_CONVERSE = NpmPackage(
    "converse.js",
    "14.0.0",
    "sha512-LFUg030jDalV47vI/vyVPqYPZfJYXFbubq8v0cFDe2zXNeeGEk3Up0Fj/WTzT6t+6do+cAIToy73eAj7RNDj2Q==",
)
_DIST = f"file:///{FOLDER}/{_CONVERSE.name}/dist"
_PAGE, _SETTINGS = "converse/index.html", "converse/settings.js"
_HTML = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="{_DIST}/converse.min.css">
<script type="module" src="{_DIST}/converse.min.js"></script>
<script type="module">
import settings from "./settings.js";
window.converse.initialize(settings);
</script>
</head><body class="converse-fullscreen"></body></html>
"""
#: Its first two arguments are the home, and the page as a URL; one like xmpp:bob@b.test opens a conversation.
_SCRIPT = r"""
home=$1 page=$2; shift 2
case ${1-} in xmpp:*) jid=${1#xmpp:}; page="$page#converse/chat?jid=${jid%%\?*}"; shift;; esac
rm -rf "$home/.pki/nssdb" && mkdir -p "$home/.pki/nssdb" || exit
certutil -d "sql:$home/.pki/nssdb" -N --empty-password || exit
certutil -d "sql:$home/.pki/nssdb" -A -n xmpplab -t C,, -i "$NODE_EXTRA_CA_CERTS" || exit
exec chromium --app="$page" --allow-file-access-from-files --password-store=basic --no-first-run --no-pings \
  --deny-permission-prompts --disable-background-networking --disable-component-update --disable-sync "$@"
"""


class Converse(ClientProgram):
    """Converse.js: OMEMO."""

    name = "converse"
    packages = ("chromium", "fonts-dejavu-core", "grep", "libnss3-tools")
    npm = (_CONVERSE,)
    command = ("sh", "-c", _SCRIPT, "converse", HOME)
    refuses_root = True
    needs_account = True

    def check(self, account: Account) -> None:  # noqa: D102 - the base class says it
        if account.server.websocket is None:
            raise UserError(
                f"{self.name} needs a server with WebSocket (RFC 7395), and {account.server.name} has none: "
                f"write `features: [websocket]` in the topology, or `xmpplab up pair,features=websocket`"
            )

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        self.check(account)
        settings = {
            "view_mode": "fullscreen", "authentication": "login", "auto_login": True, "jid": account.jid,
            "password": account.password, "websocket_url": account.server.websocket,
            "discover_connection_methods": False, "assets_path": f"{_DIST}/", "omemo_default": True,
            "clear_cache_on_logout": False, "persistent_store": "IndexedDB", "i18n": "en", "play_sounds": False,
        }  # fmt: skip
        write_file(home, _PAGE, _HTML)
        write_file(home, _SETTINGS, f"export default {json.dumps(settings, ensure_ascii=False, indent=1)};\n")

    def build_command(self, home: Path) -> tuple[str, ...]:  # noqa: D102 - the base class says it
        return (*super().build_command(home), (home / _PAGE).absolute().as_uri())

"""Ready-made command lines of client programs, for an account of a lab. Each runs as it stands, where the program is.

The password is in none of them: `xmpplab with --as` gives it to the program's environment. A client that reads it from
a file has that file in a fresh home, which is in memory.
"""

from __future__ import annotations

from shlex import quote

from lab.plan.client_view import Account

_JID, _PASSWORD = '"$XMPPLAB_JID"', '"$XMPPLAB_PASSWORD"'
# Profanity's accounts.
_FOLDER, _ACCOUNT = ".local/share/profanity", "[lab]\\njid=%s\\npassword=%s\\n"
_PYTHON = (
    "import os, slixmpp; me = slixmpp.ClientXMPP(os.environ['XMPPLAB_JID'], os.environ['XMPPLAB_PASSWORD']); "
    "me.add_event_handler('session_start', lambda _: print(me.boundjid)); me.connect(); me.loop.run_forever()"
)


def list_client_lines(lab: str, account: Account, other: str) -> list[tuple[str, str]]:
    """The name of each client, and the command that starts it logged in; `other` is somebody to write to."""
    start = f"xmpplab with --name {lab} --as {quote(f'{account.user}@{account.server.name}')}"
    sendxmpp = quote(f"go-sendxmpp -u {_JID} -p {_PASSWORD} {quote(other)}")
    return [
        ("go-sendxmpp", f"echo hello | {start} -- sh -c {sendxmpp}"),
        ("mcabber", _with_file(start, "set jid=%s\\nset password=%s\\nset tls=1\\n", "~/rc", "mcabber -f ~/rc")),
        ("poezio", _with_file(start, "[Poezio]\\njid = %s\\npassword = %s\\n", "~/rc", "poezio -f ~/rc")),
        ("Profanity", _with_file(start, _ACCOUNT, f"~/{_FOLDER}/accounts", "profanity -a lab", folder=f"~/{_FOLDER}")),
        ("slixmpp", f'{start} -- python3 -c "{_PYTHON}"'),
    ]


def _with_file(start: str, text: str, file: str, program: str, *, folder: str = "") -> str:
    """A program that finds account and password in a file."""
    made = f"mkdir -p {folder}; " if folder else ""
    return f"{start} --home -- sh -c 'umask 77; {made}printf \"{text}\" {_JID} {_PASSWORD} >{file}; exec {program}'"

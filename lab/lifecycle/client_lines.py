"""Ready-made command lines of client programs, for an account of a lab. Each runs as it stands, where the program is.

The password is in none of them: `xmpplab with --as` gives it to the program's environment.
"""

from __future__ import annotations

from lab.lifecycle.accounts import Account

_ACCOUNTS = ".local/share/profanity/accounts"
_PYTHON = (
    "import os, slixmpp; me = slixmpp.ClientXMPP(os.environ['XMPPLAB_JID'], os.environ['XMPPLAB_PASSWORD']); "
    "me.add_event_handler('session_start', lambda _: print(me.boundjid)); me.connect(); me.loop.run_forever()"
)


def list_client_lines(lab: str, account: Account, other: str) -> list[tuple[str, str]]:
    """The name of each client, and the command that starts it logged in; `other` is somebody to write to."""
    start = f"xmpplab with --name {lab} --as {account.user}@{account.server.name}"
    jid, password = '"$XMPPLAB_JID"', '"$XMPPLAB_PASSWORD"'
    return [
        ("go-sendxmpp", f"echo hello | {start} -- sh -c 'go-sendxmpp -u {jid} -p {password} {other}'"),
        ("mcabber", _with_file(start, "set jid=%s\\nset password=%s\\nset tls=1\\n", "client", "mcabber -f")),
        ("poezio", _with_file(start, "[Poezio]\\njid = %s\\npassword = %s\\n", "client", "poezio -f")),
        ("Profanity", _with_file(start, "[lab]\\njid=%s\\npassword=%s\\n", _ACCOUNTS, "profanity -a lab")),
        ("slixmpp", f'{start} -- python3 -c "{_PYTHON}"'),
    ]


def _with_file(start: str, text: str, file: str, program: str) -> str:
    """A program that reads account and password from a file: in a fresh home, so that no other file is changed."""
    folder = f'mkdir -p "$HOME/{file.rpartition("/")[0]}"; ' if "/" in file else ""
    named = f' "$HOME/{file}"' if program.endswith(" -f") else ""
    return (
        f'{start} --home -- sh -c \'umask 77; {folder}printf "{text}" "$XMPPLAB_JID" "$XMPPLAB_PASSWORD" '
        f'>"$HOME/{file}"; exec {program}{named}\''
    )

"""jabberd2 as a server of a lab: writes its configuration, makes its accounts, and runs its four programs.

A server of one's own, as docs/servers.md says. jabberd2 knows dialback only (XEP-0220), over TLS; its passwords are
plain texts in a database of SQLite.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape

DOMAIN, ADDRESS = os.environ["XMPPLAB_DOMAIN"], os.environ["XMPPLAB_ADDRESS"]
TREE = Path(os.environ["XMPPLAB_PACKAGES"])
LIBRARIES = next(TREE.glob("usr/lib/*/libc.so.6")).parent
MODULES = LIBRARIES / "jabberd2"
HERE = Path.cwd()
DATABASE, PEM = HERE / "data/jabberd2.db", HERE / "server.pem"
# Only this machine's other programs could reach the port, and this lab's own secret is needed there.
ROUTER, SECRET = 5347, os.urandom(16).hex()
PROGRAMS = ("router", "sm", "c2s", "s2s")
LISTENING = b"listening"  # what the router's log says once the others may begin
PATIENCE = 30.0  # seconds until it does

TO_ROUTER = f"""<router><ip>{ADDRESS}</ip><port>{ROUTER}</port><user>jabberd</user><pass>{SECRET}</pass>
 <retry><init>30</init><lost>3</lost><sleep>1</sleep></retry></router>"""
ENCRYPTED = f"<pemfile>{escape(str(PEM))}</pemfile><cachain>{escape(os.environ['XMPPLAB_AUTHORITY'])}</cachain>"
SQLITE = f"<sqlite><dbname>{escape(str(DATABASE))}</dbname><busy-timeout>5000</busy-timeout>"

CHAINS = {
    "sess-end": "iq-last",
    "in-sess": "validate privacy roster iq-vcard iq-ping iq-private disco offline presence deliver",
    "in-router": "session validate presence privacy",
    "out-router": "privacy",
    "pkt-sm": "iq-last iq-ping iq-time iq-version disco presence",
    "pkt-user": "roster presence disco iq-vcard deliver offline iq-last",
    "pkt-router": "session disco",
    "user-load": "active roster privacy",
    "user-create": "active",
    "user-delete": "active offline privacy roster iq-last iq-private iq-vcard",
    "disco-extend": "iq-version",
}

CONFIGURATIONS = {
    "router-users": f"<users><user><name>jabberd</name><secret>{SECRET}</secret></user></users>",
    "router": f"""<local><ip>{ADDRESS}</ip><port>{ROUTER}</port><users>{escape(str(HERE))}/router-users.xml</users>
 <secret>{SECRET}</secret></local>
 <aci><acl type='all'><user>jabberd</user></acl></aci>""",
    "sm": f"""{TO_ROUTER}<local><id>{escape(DOMAIN)}</id></local>
 <storage><path>{escape(str(MODULES))}</path><driver>sqlite</driver>{SQLITE}</sqlite></storage>
 <modules><path>{escape(str(MODULES))}</path>"""
    + "".join(
        f"<chain id='{chain}'>{''.join(f'<module>{name}</module>' for name in names.split())}</chain>"
        for chain, names in CHAINS.items()
    )
    + """</modules>
 <discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery>
 <user><auto-create/></user>""",
    "c2s": f"""{TO_ROUTER}
 <local><id pemfile='{escape(str(PEM))}' require-starttls='true'>{escape(DOMAIN)}</id>
 <ip>{ADDRESS}</ip><port>5222</port></local>
 <io><max_fds>1024</max_fds></io>
 <authreg><path>{escape(str(MODULES))}</path><module>sqlite</module>
 <mechanisms><sasl/></mechanisms><ssl-mechanisms><sasl><plain/></sasl></ssl-mechanisms>
 {SQLITE}<password_type><plaintext/></password_type></sqlite></authreg>""",
    "s2s": f"""{TO_ROUTER}<local><ip>{ADDRESS}</ip><port>5269</port>{ENCRYPTED}</local>
 <io><max_fds>1024</max_fds></io>
 <check><interval>5</interval><queue>60</queue><retry>5</retry><dnscache>5</dnscache></check>
 <lookup><srv>xmpp-server</srv><min-ttl>1</min-ttl><max-ttl>60</max-ttl><bad-host-timeout>1</bad-host-timeout></lookup>
 <security><require_tls/></security>""",
}


def write_files() -> None:
    """Configurations, key, and accounts, in the current folder; what a start before this one stored stays."""
    os.umask(0o077)
    for name, text in CONFIGURATIONS.items():
        own = f"<id>{name}</id><log type='file'><file>{escape(str(HERE))}/{name}.log</file></log>"
        whole = text if name == "router-users" else f"<{name}>{own}{text}</{name}>"
        (HERE / f"{name}.xml").write_text(f"{whole}\n")
    PEM.write_text("".join(Path(os.environ[f"XMPPLAB_{one}"]).read_text() for one in ("CERTIFICATE", "KEY")))
    DATABASE.parent.mkdir(exist_ok=True)
    accounts = json.loads(Path(os.environ["XMPPLAB_USERS"]).read_text())
    new = not DATABASE.exists()
    with sqlite3.connect(DATABASE) as database:
        if new:
            with gzip.open(TREE / "usr/share/doc/jabberd2/db-setup.sqlite.gz", "rt") as schema:
                database.executescript(schema.read())
        database.execute("DELETE FROM authreg")
        rows = [(user, DOMAIN, accounts["password"]) for user in accounts["users"]]
        database.executemany("INSERT INTO authreg (username, realm, password) VALUES (?, ?, ?)", rows)
    database.close()


def end_with_parent() -> None:
    """Let the kernel end this process, a child, when its parent ends, also by SIGKILL (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(program: str) -> subprocess.Popen[bytes]:
    """Start one of the programs, with the loader and libraries of its own packages."""
    loader = next(LIBRARIES.glob("ld-linux*.so.*"))
    dns, _, port = os.environ["XMPPLAB_DNS"].rpartition(":")
    return subprocess.Popen(
        [
            loader, "--library-path", f"{LIBRARIES}:{MODULES}", TREE / f"usr/sbin/jabberd2-{program}",
            "-c", HERE / f"{program}.xml",
        ],
        env={**os.environ, "NAMESERVERS": dns, "RES_OPTIONS": f"port:{port}"},
        preexec_fn=end_with_parent,
    )  # fmt: skip


def wait_for_router() -> None:
    """Return once the router listens: a program that cannot connect gives up."""
    until, log = time.monotonic() + PATIENCE, HERE / "router.log"
    while not (log.is_file() and LISTENING in log.read_bytes()):
        if time.monotonic() > until:
            sys.exit(f"the router does not listen after {PATIENCE:g} s, see {log}")
        time.sleep(0.02)


def main() -> int:
    """Run until one of the programs ends, or SIGTERM ends all."""
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    write_files()
    (HERE / "router.log").unlink(missing_ok=True)
    running = [start("router")]
    try:
        wait_for_router()
        running += [start(one) for one in PROGRAMS[1:]]
        while not ended and all(one.poll() is None for one in running):
            time.sleep(0.2)
    finally:
        for one in reversed(running):
            one.terminate()
        for one in running:
            one.wait()
    return 0 if ended else 1


if __name__ == "__main__":
    sys.exit(main())

"""A lab's folder: random secrets, the servers' files, certificates and first accounts, written before any server runs.

As root a server's folder belongs to SERVER_UID, and the server runs as that: it reads nothing of the lab's
but what is its own. As an ordinary user everything belongs to that user. Nothing is synced to disk: a lab
that a power failure interrupts is swept, never continued.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from dataclasses import replace
from pathlib import Path

from lab.declarations.load_users import PROBE_USER, load_user_names
from lab.declarations.manifest import Accounts
from lab.errors import UserError
from lab.plan.layout import Layout
from lab.plan.model import Plan, ServerPlan
from lab.runtime import admin
from lab.servers import get_software
from lab.servers.conventions import CLIENT_CERTIFICATES
from lab.servers.software import File, ScramKeys
from lab.system.processes import SERVER_UID
from lab.system.scram import compute_server_key, compute_stored_key, derive_password
from lab.topology.spec import Certificate

ITERATIONS = 4096  # the minimum of RFC 7677 section 4, and what the servers use by default
_SALT_BYTES = 16
_PASSWORD_BYTES = 18  # 144 bits


def find_server_owner() -> int | None:
    """The uid and gid that own a server's files; None: the caller's."""
    return SERVER_UID if os.geteuid() == 0 else None


def generate_password() -> str:
    """A new password for all accounts of a lab."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def generate_salt() -> bytes:
    """A new salt for it."""
    return secrets.token_bytes(_SALT_BYTES)


def generate_secret(layout: Layout, kept: tuple[str, bytes] | None = None) -> tuple[str, ScramKeys]:
    """Generate the lab's password and salt, unless they are `kept` from an earlier one.

    They are stored in its `secret` file (0600): a line each, the salt in hex.
    """
    password, salt = kept or (generate_password(), generate_salt())
    _write(layout.secret, f"{password}\n{salt.hex()}\n", 0o600)
    return password, compute_scram_keys(password, salt)


def read_secret(layout: Layout) -> tuple[str, ScramKeys]:
    """The lab's password, and what servers store of it."""
    password, salt = layout.secret.read_text().split()
    return password, compute_scram_keys(password, bytes.fromhex(salt))


def compute_scram_keys(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """StoredKey and ServerKey for SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677)."""

    def pair(name: str) -> tuple[bytes, bytes]:
        salted = derive_password(name, password.encode(), salt, iterations)
        return compute_stored_key(name, salted), compute_server_key(name, salted)

    return ScramKeys(salt=salt, iterations=iterations, sha1=pair("sha1"), sha256=pair("sha256"), password=password)


def list_user_names(count: int) -> list[str]:
    """Names of a server's first accounts: user1 .. userN."""
    return [f"user{number}" for number in range(1, count + 1)]


def make_servers(layout: Layout, plan: Plan) -> None:
    """Make every server's folder, empty."""
    servers = layout.root / "servers"
    servers.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        servers.chmod(0o711)  # whatever the umask says: servers run as another user
    for server in plan.servers:
        layout.server(server.spec.name).mkdir(mode=0o700)


async def write_servers(
    layout: Layout, plan: Plan, keys: ScramKeys, authority_pem: tuple[str, str] | None = None
) -> None:
    """Create the lab's certificate authority, or take that of this certificate and key (PEM); write servers' folders.

    Into every server's folder go configuration, certificates, accounts.

    A coroutine: a container engine makes what will use them meanwhile. A folder is its server's once all is in it.
    """
    await asyncio.sleep(0)  # the tasks that wait for an engine start first: the import takes a while
    from lab.network.authority import Authority

    if authority_pem is None:
        authority = Authority.create(layout.authority)
    else:
        certificate, key = authority_pem
        authority = Authority.from_pem(certificate.encode(), key.encode())
        authority.store(layout.authority)
    owner = find_server_owner()
    for server in plan.servers:
        await asyncio.sleep(0)
        folder = layout.server(server.spec.name)
        _write_server(folder, server, keys)
        authority.issue(server.certificate, folder)
        if owner is not None:
            change_owner(folder, owner)


def write_certificate(layout: Layout, server: ServerPlan, kind: Certificate | None) -> None:
    """Write a new key and certificate of that kind into a server's folder; None: of the planned kind."""
    from lab.network.authority import Authority

    request = server.certificate if kind is None else replace(server.certificate, kind=kind)
    folder = layout.server(server.spec.name)
    with tempfile.TemporaryDirectory(dir=layout.root) as made:
        Authority.load(layout.authority).issue_pair(request, Path(made) / "certs")
        files = [File(f"certs/{one.name}", one.read_text()) for one in sorted((Path(made) / "certs").iterdir())]
    before = {file.path: int((folder / file.path).lstat().st_mtime) for file in files}
    admin.write_files(folder, files)
    for path, second in before.items():  # ejabberd compares whole seconds, and takes an equal one for no change
        found = folder / path
        if int(found.lstat().st_mtime) <= second:
            os.utime(found, (second + 1, second + 1), follow_symlinks=False)


def write_files(root: Path, files: tuple[File, ...]) -> None:
    """Write files below a server's folder, with the folders they need (0700).

    Raises UserError if a path leads out of the folder.
    """
    made: set[Path] = set()
    for file in files:
        path = root / file.path
        if ".." in path.parts or not path.is_relative_to(root):
            raise UserError(f"{file.path}: a server's file must be in the server's folder")
        if path.parent not in made:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.add(path.parent)
        _write(path, file.text, file.mode)


def change_owner(root: Path, owner: int) -> None:
    """Change the owner of a folder and all in it, of links themselves and not of their targets."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), owner, owner, follow_symlinks=False)  # noqa: PTH118 - 3 times as fast
    os.chown(root, owner, owner)  # last: until then no other user can put a link there


def read_authority_certificate(layout: Layout) -> str:
    """The certificate of the lab's authority, PEM."""
    from lab.network.authority import CERTIFICATE

    return (layout.authority / CERTIFICATE).read_text()


def read_certificates(layout: Layout, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """The certificates that are in the servers' folders now.

    Of each the server's name, whom it is shown to ("all", "servers" or "clients"), its issuer (RFC 4514), and from and
    until when it is valid (UTC, ISO 8601). A server without a certificate there, such as a stand-in's, has none here.
    """
    from cryptography import x509

    found = []
    for server in plan.servers:
        request, folder = server.certificate, layout.server(server.spec.name)
        shown = {"certs": "servers" if request.clients else "all", CLIENT_CERTIFICATES: "clients"}
        for place, whom in shown.items():
            path = folder / place / f"{request.domain}.crt"
            if path.is_file():
                try:
                    leaf = x509.load_pem_x509_certificate(path.read_bytes())
                except ValueError:  # the folder is the server's own
                    found.append((server.spec.name, whom, "what is there is no certificate", "", ""))
                    continue
                dates = (leaf.not_valid_before_utc.isoformat(), leaf.not_valid_after_utc.isoformat())
                found.append((server.spec.name, whom, leaf.issuer.rfc4514_string(), *dates))
    return tuple(found)


def _write_server(root: Path, server: ServerPlan, keys: ScramKeys) -> None:
    users, software = list_user_names(server.spec.users), get_software(server.spec.software)
    if server.spec.manifest.accounts is Accounts.LISTED:  # a load could not make its own later
        users += [*load_user_names(server.spec.users), PROBE_USER]
    accounts: tuple[File, ...] = ()
    if users:
        accounts = software.initial_accounts(
            server.spec.domain, users, replace(keys, hash=software.password_hash(server.spec))
        )
    write_files(root, server.files)
    write_files(root, software.secrets(server.spec, keys))
    write_files(root, accounts)


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)

"""What labs keep over their ends, in a file of the user's: authority, password and addresses.

A client that was configured for one lab is then right for the next one. The file is JSON, made when it is first named:
it holds the authority's key and the password of every account, so that it is 0600, and nothing of it is in messages.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.runtime.server_files import generate_password, generate_salt
from lab.system.files import write_private

FORMAT = "xmpplab credentials 1"
_MOST = 64 * 1024  # bytes


@dataclass(frozen=True)
class Credentials:
    """Authority, password and addresses that labs have again and again."""

    password: str = field(repr=False)
    salt: str = field(repr=False)  # hex
    certificate: str  # of the authority, PEM
    key: str = field(repr=False)  # PEM
    networks: dict[str, str]  # CIDR, by the name of the runtime; one that has had no lab yet is missing
    file: Path = field(compare=False)  # where they are kept

    @property
    def secret(self) -> tuple[str, bytes]:
        """Password and salt."""
        return self.password, bytes.fromhex(self.salt)

    @property
    def authority(self) -> tuple[str, str]:
        """Certificate and key of the authority, PEM."""
        return self.certificate, self.key

    def keep_network(self, runtime: str, network: str) -> None:
        """Keep the addresses that the first lab on a runtime got for all that follow."""
        try:
            found = _read(self.file)
        except FileNotFoundError:  # deleted meanwhile, while a lab has them
            found = self
        if runtime not in found.networks:
            write_private(self.file, _dump(replace(found, networks={**found.networks, runtime: network})))

    def list_differences(self, lab: Lab) -> list[str]:
        """What a lab that is up has otherwise, a line each."""
        found = []
        if (lab.password, lab.keys.salt.hex()) != (self.password, self.salt):
            found.append("password: not that of the credentials")
        if lab.authority != self.certificate:
            found.append("authority: not that of the credentials")
        kept = self.networks.get(lab.runtime.name, network := lab.plan.facts.network)
        return found if kept == network else [*found, f"addresses: {network} now, {kept} in the credentials"]


def provide_credentials(path: Path) -> Credentials:
    """The credentials in this file, which is made if there is none.

    Raises UserError for a file that others can read, that is somebody else's, damaged, or of another kind.
    """
    from lab.network.authority import Authority

    try:
        return _read(path)
    except FileNotFoundError:
        certificate, key = Authority.generate("xmpplab authority").to_pem()
        made = Credentials(generate_password(), generate_salt().hex(), certificate.decode(), key.decode(), {}, path)
    except OSError as error:
        raise UserError(f"{path}: {_explain(error)}") from None
    try:
        _create(path, made)
    except FileExistsError:  # another command has made it meanwhile
        return _read(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}: name a file in a folder of yours") from None
    return made


def _explain(error: OSError) -> str:
    link = error.errno == errno.ELOOP
    return "it is a symbolic link: name the file itself" if link else f"cannot be read: {error.strerror}"


def _create(path: Path, made: Credentials) -> None:
    """Write a new file, whole or not at all. Raises FileExistsError if there is one."""
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_private(whole, _dump(made))
    try:
        path.hardlink_to(whole)
    finally:
        whole.unlink()


def _dump(credentials: Credentials) -> str:
    kept = {name: value for name, value in asdict(credentials).items() if name != "file"}
    return json.dumps({"format": FORMAT, **kept}, indent=1) + "\n"


def _read(path: Path) -> Credentials:
    """Raises FileNotFoundError, OSError and UserError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path}: is no file")
        if found.st_uid != os.geteuid():
            raise UserError(f"{path}: belongs to another user: whoever made it knows its keys; name a file of your own")
        if found.st_mode & 0o077:
            raise UserError(f"{path}: others can read or change it (mode {found.st_mode & 0o777:04o}): chmod 600 it")
        data = file.read(_MOST)
    return _parse(path, data)


def _parse(path: Path, data: bytes) -> Credentials:
    from lab.network.authority import Authority

    try:
        fields = json.loads(data)
        kind = fields.pop("format", None)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise UserError(f"{path}: is no file of credentials, or damaged: name another, or a new one") from None
    if kind != FORMAT:
        raise UserError(f"{path}: is no file of credentials of this version ({FORMAT}): name another, or a new one")
    try:
        found = Credentials(**fields, file=path)
        bytes.fromhex(found.salt)
        whole = all(isinstance(one, str) and one for one in (found.password, *found.networks, *found.networks.values()))
        authority = Authority.from_pem(found.certificate.encode(), found.key.encode())
    except (ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: is damaged: name another file, or a new one")
    if authority.certificate.not_valid_after_utc < datetime.now(UTC):
        raise UserError(f"{path}: its authority is not valid any more: name a new file, and configure clients again")
    return found

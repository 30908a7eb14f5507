"""Where things lie: the folder of a lab and what is in it. Paths only; nothing here reads or writes.

All files of a lab are below one folder, mode 0700, so that ending a lab is deleting it:

    lab.json             name, runtime, phase, who owns it
    plan.json            the plan
    clients.json         what client programs need to know of it
    secret               the lab's password, drawn when it is made
    lock                 held with flock by whoever changes the lab
    control.sock         the service's control socket, 0600
    service.json         pid and start time of the service; service.log and service.lock beside it
    authority/           the lab's certificate authority
    servers/<name>/      a server's folder: its configuration, certs/, data/, logs
    people/<server>/<user>/<resource>/   a device's keys and trust
    accounts/<server>/<user>             the password of an account that `xmpplab person` made
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lab.errors import UserError

# Ports on the address of the lab's services.
DNS_PORT = 53  # containers: one port, the view is chosen by the asker's address
DNS_CLIENT_PORT = (
    5398  # processes: the view of clients; containers: port 53, asked from another address than a server's
)
DNS_BASE_PORT = 5400  # processes: the view of the i-th server is port DNS_BASE_PORT + i
RELAY_BASE_PORT = 20000  # the k-th direction of a link
REFUSED_PORT = 1  # nothing listens there
UNREACHABLE_PORT = 19999  # connections there are never answered

#: A lab's name is a folder's, a container's and a host's: letters, digits and hyphens (RFC 1123 section 2.1).
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def find_home() -> Path:
    """The folder of all labs and caches: XMPPLAB_HOME, or /var/lib/xmpplab for root, else ~/.local/state/xmpplab."""
    if chosen := os.environ.get("XMPPLAB_HOME"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/xmpplab")
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local/state") / "xmpplab"


@dataclass(frozen=True)
class Layout:
    """The folder of one lab."""

    root: Path

    @classmethod
    def of(cls, name: str) -> Layout:
        """The layout of the lab of that name below `find_home()`. Raises UserError for what is no name.

        Everything that deletes uses this function: a name is never a path that leads somewhere else.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be a lab's name: use at most 40 of a-z, 0-9 and hyphens, as in my-lab")
        return cls(find_home() / "labs" / name)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.root.name

    @property
    def state(self) -> Path:
        """lab.json."""
        return self.root / "lab.json"

    @property
    def plan(self) -> Path:
        """plan.json."""
        return self.root / "plan.json"

    @property
    def clients(self) -> Path:
        """clients.json."""
        return self.root / "clients.json"

    @property
    def changes(self) -> Path:
        """The folder of what runs have changed on servers and not changed back."""
        return self.root / "changes"

    @property
    def secret(self) -> Path:
        """The file with the lab's password."""
        return self.root / "secret"

    @property
    def lock(self) -> Path:
        """The file that is locked while the lab changes."""
        return self.root / "lock"

    @property
    def control(self) -> Path:
        """The service's control socket."""
        return self.root / "control.sock"

    @property
    def service(self) -> Path:
        """Pid and start time of the service process."""
        return self.root / "service.json"

    @property
    def service_lock(self) -> Path:
        """The file that the service holds locked (flock) as long as it lives."""
        return self.root / "service.lock"

    @property
    def service_log(self) -> Path:
        """What the service logs."""
        return self.root / "service.log"

    @property
    def authority(self) -> Path:
        """The folder of the lab's certificate authority."""
        return self.root / "authority"

    @property
    def started(self) -> Path:
        """In what the services see of a lab of containers: a file for each server that has got its address."""
        return self.root / "started"

    def server(self, name: str) -> Path:
        """A server's folder, as the host sees it."""
        return self.root / "servers" / name

    def device(self, server: str, user: str, resource: str) -> Path:
        """The folder of one device's keys and trust."""
        return self.person(server, user) / _folder_name(resource)

    def person(self, server: str, user: str) -> Path:
        """The folder of one person's devices."""
        return self.root / "people" / server / _folder_name(user)

    def account(self, server: str, user: str) -> Path:
        """The file with the password of an account that a person asked for."""
        return self.root / "accounts" / server / _folder_name(user)


def _folder_name(text: str) -> str:
    """A text as one folder's name, whatever is in it: it names neither another folder nor two at once."""
    return quote(text, safe="").replace(".", "%2E") if text.startswith(".") else quote(text, safe="")

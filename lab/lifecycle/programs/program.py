"""What the lab knows of a client program: its packages, its command, and how its configuration is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from lab.errors import UserError
from lab.plan.client_view import Account
from lab.runtime.debian.npm import NpmPackage
from lab.system.files import write_private

#: What a client with windows needs besides: letters, icons, and a D-Bus session.
DESKTOP = ("adwaita-icon-theme", "dbus-daemon", "dbus-session-bus-common", "fonts-dejavu-core", "librsvg2-common")
HOME = "{home}"  # in a command


class ClientProgram(ABC):
    """A client program. Its configuration is a folder that it takes for its home."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]  # of Debian
    npm: ClassVar[tuple[NpmPackage, ...]] = ()  # which Debian does not have
    command: ClassVar[tuple[str, ...]]  # what opens it; `HOME` in it stands for the home
    session_bus: ClassVar[bool] = False  # it needs a D-Bus session: it has one of its own
    refuses_root: ClassVar[bool] = False
    needs_account: ClassVar[bool] = False  # there is nothing to open without one

    def check(self, account: Account) -> None:  # noqa: B027 - most can log in everywhere
        """Raise UserError if it cannot log in on the account's server."""

    @abstractmethod
    def write(self, account: Account, home: Path) -> None:
        """Write the configuration of an account into a home that exists. What is secret is for its owner only."""

    def build_command(self, home: Path) -> tuple[str, ...]:
        """The command that opens it with the configuration in a home."""
        return tuple(word.replace(HOME, str(home)) for word in self.command)


def write_file(home: Path, path: str, text: str | bytes) -> None:
    """Write a file below a home, for its owner only, and the folders that lead to it."""
    target = home / path
    for folder in reversed(target.relative_to(home).parents):
        (home / folder).mkdir(mode=0o700, exist_ok=True)
    write_private(target, text)


def write_profile(program: ClientProgram, account: Account, folder: Path) -> None:
    """Write a client's configuration into a new folder (0700).

    Raises UserError if it cannot be made, or the client cannot log in there.
    """
    program.check(account)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise UserError(f"{folder} exists: name a folder that does not") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from error
    program.write(account, folder)

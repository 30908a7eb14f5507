"""Lets this process become somebody's program, which finds the lab's names and trusts its authority.

    python -m lab.lifecycle.client_namespace LAB [--as PERSON] [--home | --profile FOLDER] [--client NAME --tree FOLDER]
        [--parent PID] [--errors FD] -- COMMAND...

With `processes` the program has a network of its own, in which the lab's servers and name server are at their usual
ports, and nothing else is; with containers it has this machine's network. In both it sees a resolv.conf that names the
lab's name server, and certificate files in which the lab's authority stands beside this machine's. The files are in
memory, and seen by the program only. It runs as who it was started by, root or not.

The process that was started *becomes* the program: exit status, signals, terminal, pipes and current folder are its
own. Nothing of the lab's is its child, and what carries its connections ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lab.errors import LabError, MissingError, UserError, encode_answer
from lab.lifecycle.accounts import find_account, read_view
from lab.lifecycle.client_environment import find_authority, list_account_variables
from lab.network import namespace_forwarder
from lab.network.lab_folder import is_service_running
from lab.plan.client_view import Account, ClientView
from lab.plan.layout import Layout
from lab.system import file_root, namespaces, session_bus

if TYPE_CHECKING:
    from lab.lifecycle.programs.program import ClientProgram

_CERTIFICATES = Path("/etc/ssl/certs")
_BUNDLE = _CERTIFICATES / "ca-certificates.crt"
_OWN = "xmpplab.pem"
_LOG = "clients.log"  # in the lab's folder: what went wrong where connections are carried
#: Other places where systems keep the bundle.
_BUNDLES = (
    Path("/etc/ssl/cert.pem"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
)
_RESOLVER, _SWITCH, _HOSTS = Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf"), Path("/etc/hosts")
#: Folder of the socket of a daemon that caches answers of the machine's own names (nscd(8)).
_CACHE = Path("/run/nscd")
#: Variables that lead programs to a home beside HOME (XDG Base Directory Specification).
_OF_HOME = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
#: Programs of a tree; nobody's uid of this machine, as whom a client runs that refuses root.
_PATH, _USER = "/usr/bin:/usr/sbin:/usr/games", 1000
#: At the root of a tree, in memory: a program that is killed leaves no files. Short, since there are sockets in it.
_TEMPORARY = Path("/xmpplab-tmp")
#: What Python ignores, and programs expect to be ended by.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True)
class ClientCommand:
    """A program that is to run in a lab."""

    lab: str
    argv: tuple[str, ...]
    person: str | None = None  # alice@a: whose JID and password it is given
    home: bool = False  # an empty home folder, in memory
    client: str | None = None  # a program of lab.lifecycle.programs, of which `argv` are the arguments only
    tree: Path | None = None  # its unpacked packages
    profile: Path | None = None  # a home that exists

    def build_words(self) -> tuple[str, ...]:
        """The arguments of this module that mean it."""
        named = (("--as", self.person), ("--client", self.client), ("--tree", self.tree), ("--profile", self.profile))
        options = [word for name, value in named if value is not None for word in (name, str(value))]
        return (self.lab, *options, *(["--home"] if self.home else []), "--", *self.argv)


def become(command: ClientCommand, parent: int | None = None) -> NoReturn:
    """Become the program. This process must have one thread.

    With `parent`, its pid, the program is killed when that process ends. Raises UserError where the lab is not up, or
    person or program do not exist, MissingError where the kernel gives no namespaces.
    """
    layout = Layout.of(command.lab)
    view = read_view(layout)
    if not is_service_running(layout):
        raise UserError(f"the lab {command.lab} is not up any more: end it with `xmpplab down {command.lab}`")
    environment = dict(os.environ)
    account = find_account(layout, view, command.person) if command.person is not None else None
    if account is not None:
        environment |= list_account_variables(account)
    argv = command.argv
    program = find_program(argv[0]) if command.tree is None else ""
    _enter(layout, view)
    environment |= _show_files(layout, view)
    if command.home:
        environment = _replace_home(environment, _mount_home(layout))
    elif command.profile is not None:
        environment = _replace_home(environment, command.profile.absolute())
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if command.tree is not None:
        argv = _enter_tree(layout, command, account, environment)
        program = argv[0]
    if parent is not None:
        namespaces.end_with(parent, signal.SIGKILL)
    try:
        os.execve(program, argv, environment)  # noqa: S606 - the person's own program
    except OSError as error:
        raise UserError(f"{program} cannot be executed: {error.strerror}") from error


def check_namespaces() -> None:
    """Raise MissingError where the kernel gives this user no namespaces: before a lab is started for a program."""
    if problem := namespaces.find_problem():
        raise MissingError(
            f"{problem}. What is left: start it as root, or start a lab with `xmpplab up`, and give the program "
            "address, port and authority of its server itself, see `xmpplab env`; certificates are valid for addresses"
        )


def find_program(name: str) -> str:
    """The path of a program, as a shell finds it. Raises UserError if there is none."""
    found = shutil.which(name)
    if found is not None:
        return found
    if "/" not in name:
        raise UserError(f"{name}: not found in PATH ({os.environ.get('PATH', '')})")
    if Path(name).is_file():
        raise UserError(
            f"{name} is not executable: make it so with `chmod +x {shlex.quote(name)}`, or name what runs it"
        )
    raise UserError(f"{name}: there is no such program")


def _enter(layout: Layout, view: ClientView) -> None:
    """Enter the namespaces; with `processes` start what carries connections out of them."""
    network = view.runtime == "processes"
    until = os.pidfd_open(os.getpid())
    forwarder = namespace_forwarder.start(view.dns, until, layout.root / _LOG) if network else None
    os.close(until)
    try:
        namespaces.enter(network=network)
    except MissingError as error:
        raise MissingError(f"{error}. {_describe_rest(view)}") from error
    if forwarder is not None:
        with forwarder:
            namespace_forwarder.hand_over(view, forwarder)


def _describe_rest(view: ClientView) -> str:
    """What is left to a program where there are no namespaces."""
    return (
        f"What is left: {namespaces.describe_remedy()}, or give the program address, port and authority of its server "
        f"itself, see `xmpplab env --name {view.lab}`; certificates are valid for addresses, too"
    )


def _show_files(layout: Layout, view: ClientView) -> dict[str, str]:
    """Show the program files with the lab's names and authority; variables that lead it to the latter."""
    authority = find_authority(layout).read_text()
    texts = _build_texts(view, authority)
    certificates = _read_certificates() if _CERTIFICATES.is_dir() else None
    link = next(one.name for one in layout.authority.glob("*.0"))
    folder = layout.root / "view"
    folder.mkdir(mode=0o700, exist_ok=True)
    namespaces.mount_memory(folder)
    try:
        for number, (target, text) in enumerate(texts.items()):
            _write(folder / str(number), text)
            namespaces.bind(folder / str(number), target)
        if certificates is not None:
            _write_certificates(folder / "certs", certificates, authority, link)
            namespaces.bind(folder / "certs", _CERTIFICATES)
        if _CACHE.is_dir():
            (folder / "empty").mkdir()
            namespaces.bind(folder / "empty", _CACHE)
    finally:
        namespaces.detach(folder)
    bundle = str(_BUNDLE) if certificates is not None else str(find_authority(layout))
    own = str(_CERTIFICATES / _OWN) if certificates is not None else bundle
    return {
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "NODE_EXTRA_CA_CERTS": own,
    }


def _build_texts(view: ClientView, authority: str) -> dict[Path, str]:
    """The files that are shown in another form, by path. One that does not exist cannot be shown."""
    processes = view.runtime == "processes"
    if not processes and not _RESOLVER.exists():
        raise MissingError(f"{_RESOLVER} does not exist, or leads nowhere: make it, so that it can name the lab's DNS")
    server = namespace_forwarder.RESOLVER if processes else view.dns[0]
    hosts = frozenset(host for one in view.servers for host in one.hosts)
    texts = {
        _RESOLVER: f"nameserver {server}\nsearch .\n",
        _SWITCH: name_switch(_read(_SWITCH)),
        _HOSTS: without_hosts(_read(_HOSTS), hosts),
        **{
            path: f"{_read(path)}\n{authority}" for path in _BUNDLES if not path.resolve().is_relative_to(_CERTIFICATES)
        },
    }
    return {path: text for path, text in texts.items() if path.is_file()}


def name_switch(text: str) -> str:
    """nsswitch.conf(5) with which names are asked of files and the name server, and of no other service."""
    return "".join("hosts: files dns\n" if line.lstrip().startswith("hosts:") else line for line in _lines(text))


def without_hosts(text: str, hosts: frozenset[str]) -> str:
    """hosts(5) without the lines that name one of these hosts: somebody may have added the lab's."""
    return "".join(line for line in _lines(text) if not hosts.intersection(line.partition("#")[0].split()[1:]))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _read(path: Path) -> str:
    return path.read_text(errors="surrogateescape") if path.is_file() else ""


def _write(path: Path, text: str) -> None:
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o644)  # whatever the umask says: the program may become another user


def _read_certificates() -> dict[str, str | Path]:
    """What is in this machine's folder of certificates, by name: the target of a link, else the text of a file."""
    found: dict[str, str | Path] = {}
    for entry in os.scandir(_CERTIFICATES):
        if entry.is_symlink():
            found[entry.name] = Path(entry.path).readlink()
        elif entry.is_file():
            found[entry.name] = Path(entry.path).read_text(errors="surrogateescape")
    return found


def _write_certificates(folder: Path, found: Mapping[str, str | Path], authority: str, link: str) -> None:
    """Such a folder with the lab's authority in it: its file, its link, and in the bundle of all."""
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for name, content in found.items():
        if isinstance(content, Path):
            (folder / name).symlink_to(content)
        elif name != _BUNDLE.name:
            _write(folder / name, content)
    system = found.get(_BUNDLE.name, "")
    bundle = _BUNDLE.read_text(errors="surrogateescape") if isinstance(system, Path) else system
    (folder / _BUNDLE.name).unlink(missing_ok=True)
    _write(folder / _BUNDLE.name, f"{bundle}{authority}")
    _write(folder / _OWN, authority)
    kind = link.partition(".")[0]
    number = next(number for number in range(len(found) + 1) if f"{kind}.{number}" not in found)
    (folder / f"{kind}.{number}").symlink_to(_OWN)


def check_client(client: ClientProgram, lab: str, person: str | None, *, home: bool) -> None:
    """Raise UserError where a lab, or that person in it, does not exist, or the client cannot be theirs.

    Before something is fetched for them. With `home` the client is to have an empty one.
    """
    layout = Layout.of(lab)
    view = read_view(layout)
    if person is not None:
        client.check(find_account(layout, view, person))
    elif home and client.needs_account:
        raise UserError(f"{client.name} opens nothing without an account: add --as PERSON, such as --as user1@a")


def _enter_tree(
    layout: Layout, command: ClientCommand, account: Account | None, environment: dict[str, str]
) -> tuple[str, ...]:
    """Enter the tree of a client program, and configure it where its home is empty; its command."""
    from lab.lifecycle.programs import find_client

    assert command.tree is not None and command.client is not None
    client = find_client(command.client)
    if account is not None and command.home:
        client.write(account, Path(environment["HOME"]))
    folder = layout.root / "root"
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        file_root.enter(command.tree, folder)
        _TEMPORARY.mkdir(mode=0o700)
        if client.refuses_root and os.getuid() == 0:
            namespaces.become_user(_USER)
    except OSError as error:
        raise MissingError(
            f"this kernel does not let {client.name} have its packages as its root: {error.strerror} "
            f"({error.filename}). What is left: install it, and use `xmpplab with`"
        ) from error
    environment |= {"PATH": _PATH, "LC_ALL": "C.UTF-8", "TMPDIR": str(_TEMPORARY)}  # the locale of a tree
    name, *words = client.build_command(Path(environment["HOME"]))
    program = shutil.which(name, path=_PATH)
    if program is None:
        raise MissingError(f"{command.tree} has no {name}: delete it, and it is fetched again")
    if client.session_bus:
        environment |= session_bus.start(environment)
    return (program, *words, *command.argv)


def _mount_home(layout: Layout) -> Path:
    """An empty home, in memory, which ends with the program."""
    folder = layout.root / "home"
    folder.mkdir(mode=0o700, exist_ok=True)
    namespaces.mount_memory(folder, 0o700)
    return folder


def _replace_home(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment with another home; the display stays."""
    before = environment.get("HOME", "")
    kept = {name: value for name, value in environment.items() if name not in _OF_HOME}
    cookie = Path(before, ".Xauthority")
    if "XAUTHORITY" not in kept and before and cookie.is_file():
        kept["XAUTHORITY"] = str(cookie)
    return {**kept, "HOME": str(folder)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The process: the program's own exit status, or 64, 69 with one error where it cannot be started."""
    from lab import exit_codes
    from lab.system.terminal import escape_unprintable

    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--")
    parser = argparse.ArgumentParser(prog="python -m lab.lifecycle.client_namespace", description=__doc__)
    parser.add_argument("lab")
    parser.add_argument("--as", dest="person")
    parser.add_argument("--home", action="store_true")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--client")
    parser.add_argument("--tree", type=Path)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--errors", type=int, help="pipe: gets the error as JSON, nothing if the program was started")
    options = parser.parse_args(words[:end])
    if options.errors is not None:
        os.set_inheritable(options.errors, False)  # it is closed where the program begins
    command = ClientCommand(
        options.lab,
        tuple(words[end + 1 :]),
        options.person,
        options.home,
        options.client,
        options.tree,
        options.profile,
    )
    try:
        become(command, options.parent)
    except LabError as error:
        if options.errors is not None:
            os.write(options.errors, json.dumps(encode_answer(error)).encode())
        sys.stderr.write(escape_unprintable(f"xmpplab: {error}\n"))
        return exit_codes.get_exit_code(error)


if __name__ == "__main__":
    sys.exit(main())

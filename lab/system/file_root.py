"""An unpacked tree of packages as this process's own root: its programs find their data where they were built for.

The tree's /usr, and what it has in /etc, take the place of this machine's; all else is this machine's: /home, /tmp,
/dev, and of /etc what says who and where it is. Nothing of the tree can be written. This process must be in a mount
namespace of its own (lab.system.namespaces).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lab.system import namespaces

_LINKS = ("bin", "lib", "lib64", "sbin")  # to their namesakes in /usr, as in every tree (lab.runtime.debian.apt)
#: Of /etc: what is this machine's although the tree may have it.
_OWN = frozenset({
    "group", "gshadow", "host.conf", "hostname", "hosts", "localtime", "machine-id", "nsswitch.conf", "passwd",
    "resolv.conf", "shadow", "ssl", "timezone",
})  # fmt: skip
#: Of /etc: what belongs to this machine's /usr, and is false of another.
_NEITHER = frozenset({"alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload"})


def enter(tree: Path, folder: Path, *, writable: bool = False) -> None:
    """Make `tree` the root of this process, built in the empty `folder`. Raises OSError."""
    current = Path.cwd()
    namespaces.mount_memory(folder)
    for entry in os.scandir("/"):
        if entry.name in ("usr", "etc", *_LINKS):
            continue
        _show(Path(entry.path), folder / entry.name)
    for name in _LINKS:
        (folder / name).symlink_to(f"usr/{name}")
    _show(tree / "usr", folder / "usr")
    if not writable:
        namespaces.protect(folder / "usr")
    _make_folder(folder / "etc")
    for source in _choose_settings(tree / "etc", Path("/etc")):
        _show(source, folder / "etc" / source.name)
    namespaces.switch_root(folder)
    with contextlib.suppress(OSError):  # below this machine's /usr: it is not seen any more
        os.chdir(current)


def _choose_settings(tree: Path, machine: Path) -> Iterator[Path]:
    """The entries of /etc: of each name one, the tree's or this machine's."""
    theirs = {entry.name for entry in os.scandir(tree)} if tree.is_dir() else set()
    ours = {entry.name for entry in os.scandir(machine)}
    for name in sorted((theirs | ours) - _NEITHER):
        kept = machine if name in ours and (name in _OWN or name not in theirs) else tree
        if (kept / name).exists():  # not a link that leads nowhere
            yield kept / name


def _make_folder(path: Path) -> None:
    """A folder that every user can enter, whatever the umask says: the program may become another user."""
    path.mkdir()
    path.chmod(0o755)


def _show(source: Path, target: Path) -> None:
    """Show a folder with all that is mounted below it, or a file; a link at the top stays one."""
    if source.is_symlink() and source.parent == Path("/"):
        target.symlink_to(source.readlink())
    elif source.is_dir():
        _make_folder(target)
        namespaces.bind(source, target, recursive=True)
    elif source.is_file():
        target.touch()
        namespaces.bind(source, target)

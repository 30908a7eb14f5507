"""Linux namespaces of this process: a network and a view of files of its own, for itself and what it becomes.

Without root they need a user namespace (user_namespaces(7)), which this process has with the same uid and gid. It must
have one thread. Mounts that are made here are seen by this process and what it starts; they end with these.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from lab.errors import MissingError
from lab.system.subprocesses import build_python_command

# linux/sched.h
_NEWNS, _NEWUSER, _NEWNET = 0x00020000, 0x10000000, 0x40000000
# sys/mount.h
_READ_ONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _MOVE, _RECURSIVE = 1, 2, 4, 8, 32, 4096, 8192, 16384
_SLAVE, _DETACH = 1 << 19, 2
# linux/sockios.h, net/if.h
_SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8914, 0x8916, 1
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def enter(*, network: bool) -> None:
    """Give this process mounts of its own, and with `network` a network with a loopback interface only.

    Raises MissingError where the kernel allows this user no namespaces.
    """
    flags = _NEWNS | (_NEWNET if network else 0)
    uid, gid = os.getuid(), os.getgid()
    try:
        try:
            _unshare(flags)  # with CAP_SYS_ADMIN: no user namespace, so that nothing about users changes
        except PermissionError:
            _unshare(flags | _NEWUSER)
            _map_user(uid, gid)
        _mount("none", "/", "", _RECURSIVE | _SLAVE)  # as root: what is mounted here must not reach others
        if network:
            _bring_loopback_up()
    except OSError as error:
        raise MissingError(_explain(error)) from error


def find_problem() -> str:
    """Why this user gets no namespaces here, "" where it does. Another process tries, and changes nothing."""
    done = subprocess.run(build_python_command(__name__), capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def describe_remedy() -> str:
    """What somebody can do who gets no namespaces: root of a container lacks what the container was not given."""
    if os.geteuid() != 0:
        return "start it as root"
    return "give the container the capabilities SYS_ADMIN and NET_ADMIN, and no profile of AppArmor"


def _map_user(uid: int, gid: int) -> None:
    # The kernel takes a map of groups only from who can change them no more (user_namespaces(7)).
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _explain(error: OSError) -> str:
    """Why there are no namespaces, with the setting that forbids them where one is known."""
    causes = (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/user/max_user_namespaces", "0"),
    )
    setting = next((path for path, value in causes if _read(path) == value), "")
    because = f"; {setting} says so" if setting else "; the profile of a container or a security module may say so"
    return f"this kernel gives user {os.getuid()} no namespaces ({error.strerror}){because}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def mount_memory(folder: Path, mode: int = 0o755) -> None:
    """Mount an empty file system in memory over a folder, which belongs to this user. Raises OSError."""
    _mount("xmpplab", str(folder), "tmpfs", _NOSUID | _NODEV, f"mode={mode:o}")


def bind(source: Path, target: Path, *, recursive: bool = False) -> None:
    """Show `source` in place of `target`, which must exist, for as long as this process sees it. Raises OSError.

    With `recursive` what is mounted below it is shown, too; without root nothing else is allowed for such a folder.
    """
    _mount(str(source), str(target), "", _BIND | (_RECURSIVE if recursive else 0))


def protect(folder: Path) -> None:
    """Let nobody write below a folder that something was bound to. Raises OSError."""
    kept = os.statvfs(folder).f_flag & (_NOSUID | _NODEV | _NOEXEC)  # in a user namespace they cannot be taken off
    _mount("none", str(folder), "", _REMOUNT | _BIND | _READ_ONLY | kept)


def switch_root(folder: Path) -> None:
    """Make a mounted file system the root, in place of the present one, as switch_root(8) does. Raises OSError."""
    os.chdir(folder)
    _mount(".", "/", "", _MOVE)
    os.chroot(".")
    os.chdir("/")


def become_user(uid: int) -> None:
    """Let root of this machine count as another user from now on; files of root's are that user's. Raises OSError."""
    group = os.getgid()
    _unshare(_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{uid} {group} 1")


def detach(folder: Path) -> None:
    """Take a mounted file system off its folder; what is bound from it stays where it is bound. Raises OSError."""
    _check(_libc.umount2(os.fsencode(folder), _DETACH), str(folder))


def end_with(parent: int, number: int) -> None:
    """Let the kernel send this process a signal when its parent ends, also after it has become another program.

    Entering a user namespace undoes it: call this afterwards. Ends this process if the parent has ended already.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "namespaces")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    parts = (os.fsencode(source), os.fsencode(target), kind.encode())
    _check(_libc.mount(*parts, ctypes.c_ulong(flags), data.encode()), target)


def _check(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _bring_loopback_up() -> None:
    """Bring it up, with an address that is no loopback address.

    Without one getaddrinfo(3) finds no names for who asks with AI_ADDRCONFIG, as GLib does. It is of RFC 5737.
    """
    address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("192.0.2.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
        fcntl.ioctl(handle, _SIOCSIFADDR, struct.pack("16s16s8x", b"lo:0", address))


def main() -> int:
    """Enter all namespaces, and end: the exit code is 0 where that is possible; else the error says why not."""
    try:
        enter(network=True)
    except MissingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the runtime `processes` needs of a machine, found out without changing or fetching anything."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys

from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import LabError
from lab.plan.layout import find_home
from lab.runtime import memory
from lab.runtime.debian import apt, sources, trees
from lab.runtime.lab_record import find_existing
from lab.runtime.processes import loopback
from lab.runtime.protocol import Prerequisite

RELEASE = (
    MANIFESTS[INSTALLED[0]].versions[0].suite
)  # of the servers that the lab takes unless a topology says otherwise
_DESCRIPTORS = 4096  # open files that a lab of 100 servers needs in its service
_MEBIBYTE = 1 << 20
_COMFORT = 1024 * _MEBIBYTE  # bytes of memory: a few servers of each kind, and the agents


def check_prerequisites() -> list[Prerequisite]:
    """One for each thing that plain processes need; the runtime works if all are good."""
    return [_system(), _loopback(), *_software(), _memory(), _descriptors(), _paths()]


def _system() -> Prerequisite:
    linux = sys.platform == "linux"
    return Prerequisite("Linux", linux, sys.platform, "" if linux else "use --runtime containers on this system")


def _loopback() -> Prerequisite:
    what = "loopback addresses"
    try:
        network, holder = loopback.reserve_network()
    except LabError as error:
        return Prerequisite(what, False, "not usable", str(error))
    holder.close()
    return Prerequisite(what, True, f"{network} is free")


def _software() -> list[Prerequisite]:
    """The servers in the cache, or what it takes to get them."""
    if whole := trees.find_complete_trees(RELEASE):
        return [Prerequisite("servers", True, f"unpacked in {whole[0]}")]
    return [_tools(), _archive(), _space()]


def _tools() -> Prerequisite:
    what = "tools to unpack servers"
    try:
        tools = apt.require_tools()
        apt.find_patchelf()
    except LabError as error:
        return Prerequisite(what, False, "incomplete", str(error))
    return Prerequisite(what, True, f"{', '.join(tools)}, patchelf")


def _archive() -> Prerequisite:
    what = f"archive with Debian {RELEASE}"
    chosen = os.environ.get(sources.VARIABLE)
    try:
        archives = sources.choose_sources(RELEASE, sources.read_machine_sources(), chosen)
    except LabError as error:
        return Prerequisite(what, False, "none", str(error))
    origin = sources.VARIABLE if chosen else "this machine's apt"
    return Prerequisite(what, True, f"{len(archives)} from {origin}; fetched at the first `up`")


def _space() -> Prerequisite:
    folder = find_existing(find_home())
    free = shutil.disk_usage(folder).free
    remedy = f"make room, or set XMPPLAB_HOME: the servers need {trees.SPACE // _MEBIBYTE} MB once"
    good = free >= trees.SPACE
    return Prerequisite("disk", good, f"{free // _MEBIBYTE} MB free in {folder}", "" if good else remedy)


def _memory() -> Prerequisite:
    free = memory.read_available()
    good = free >= _COMFORT
    remedy = f"small labs will do; a server needs {memory.describe_needs()}"
    return Prerequisite("memory", good, f"{free // _MEBIBYTE} MB available", "" if good else remedy)


def _descriptors() -> Prerequisite:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = hard == resource.RLIM_INFINITY or hard >= _DESCRIPTORS
    found = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    return Prerequisite(
        "open files", good, found, "" if good else f"raise the hard limit (ulimit -Hn) to {_DESCRIPTORS}"
    )


def _paths() -> Prerequisite:
    """Sockets in a lab's folder have paths of at most 107 bytes."""
    folder = find_home()
    longest = len(os.fsencode(folder)) + len("/labs//servers//admin.sock") + 2 * 16
    good = longest <= 107 and hasattr(socket, "AF_UNIX")
    found = f"up to {longest} bytes of 107"
    remedy = "" if good else "set XMPPLAB_HOME to a folder with a shorter path: sockets are created in it"
    return Prerequisite("paths of sockets", good, found, remedy)

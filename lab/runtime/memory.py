"""Whether a topology's servers fit into the free memory of this machine: checked before anything starts."""

from __future__ import annotations

from pathlib import Path

from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import MissingError
from lab.topology.spec import Topology

#: Bytes kept free beside the servers, for the service, agents and other processes.
RESERVE = 256 << 20
_MEBIBYTE = 1 << 20


def read_available() -> int:
    """Bytes that can be used without swapping: the kernel's MemAvailable, or what the control group leaves of it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min([free, *_group_left()])


def estimate_needed(topology: Topology) -> int:
    """Bytes that the servers of a topology need, idle."""
    return sum(server.manifest.memory for server in topology.servers)


def check_memory(topology: Topology, freed: int = 0) -> None:
    """Raises MissingError, with figures, if the servers do not fit once `freed` bytes more are available."""
    want, have = estimate_needed(topology) + RESERVE, read_available() + freed
    if want > have:
        raise MissingError(
            f"{topology.name}: its {len(topology.servers)} servers need about {want // _MEBIBYTE} MB of memory, and "
            f"{have // _MEBIBYTE} MB are available. Use fewer servers{_lighter(topology)}."
        )


def describe_needs() -> str:
    """What one server of each installed software needs, the least first: "24 MB (prosody), 120 MB (ejabberd)"."""
    by_need = sorted((MANIFESTS[name] for name in INSTALLED), key=lambda manifest: manifest.memory)
    return ", ".join(f"{manifest.memory // _MEBIBYTE} MB ({manifest.name})" for manifest in by_need)


def _lighter(topology: Topology) -> str:
    """Which software would need less, where there is one."""
    least = min((MANIFESTS[name] for name in INSTALLED), key=lambda manifest: manifest.memory)
    heavy = {one.software for one in topology.servers if one.manifest.installed and one.manifest.memory > least.memory}
    return f", or {least.name} instead of {' and '.join(sorted(heavy))}" if heavy else ""


def _group_left() -> list[int]:
    """What the memory limit of our control group (version 2) leaves; [] without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (folder / "memory.max").read_text().strip(), (folder / "memory.current").read_text()
    except OSError:
        return []
    return [] if limit == "max" else [int(limit) - int(used)]

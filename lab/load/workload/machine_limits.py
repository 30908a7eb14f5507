"""The limits of this machine for a load, checked before anybody logs in; errors say which number would work."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path

from lab.errors import MissingError, UserError
from lab.load.model.spec import Load, Shard
from lab.load.workload.population import Population

#: File descriptors of a worker beside those of users: standard streams, event loop, libraries, uploads in progress.
OWN_FILES = 128

#: Ports not available to users: connections that were just closed hold theirs for a minute (TIME_WAIT).
PORT_RESERVE = 1000

_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def check_machine(load: Load, shard: Shard) -> None:
    """Check a worker's part of a load, and raise the limit of open files as needed.

    Raises UserError for a load that is not valid or needs too many ports, MissingError for too many open files.
    """
    if not load.endpoints or load.users < 1:
        raise UserError(f"a load needs a server and a user: has {len(load.endpoints)} and {load.users}")
    for name in ("seconds", "tick", "login_rate"):
        if getattr(load, name) <= 0:
            raise UserError(f"{name} of a load must be above 0, not {getattr(load, name):g}")
    for name in ("body", "warmup"):
        if getattr(load, name) < 0:
            raise UserError(f"{name} of a load must be 0 or more, not {getattr(load, name):g}")
    _check_ports(load)
    _check_files(load, shard)


def count_available_ports() -> int:
    """Connections that this machine can have to one address and port at a time."""
    low, high = map(int, _PORTS.read_text().split())
    return high - low + 1 - PORT_RESERVE


def _check_ports(load: Load) -> None:
    """Each connection to an address has a port of its own at our end (RFC 9293 section 3.3.1)."""
    population, most = Population(load), count_available_ports()
    users: Counter[tuple[str, int]] = Counter()
    for number, endpoint in enumerate(load.endpoints):
        users[endpoint.host, endpoint.port] += population.count_users(number)
    (host, port), count = users.most_common(1)[0]
    if count > most:
        raise UserError(
            f"{count} users on {host}:{port} need as many ports, and {most} can be had (net.ipv4.ip_local_port_range):"
            f" use at most {load.users * most // count} users, more servers, or widen the range"
        )


def _check_files(load: Load, shard: Shard) -> None:
    users = len(Population(load).list_owned(shard))
    needed = users + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = hard if hard != resource.RLIM_INFINITY else needed
    try:  # root may exceed the hard limit, up to the limit of the kernel
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, most)))
    except (ValueError, OSError) as error:
        each = max(1, most - OWN_FILES)
        raise MissingError(
            f"{users} users of one worker need {needed} open files, and {most} are allowed (ulimit -Hn):"
            f" use at most {each * shard.of} users, or {-(-load.users // each)} workers"
        ) from error

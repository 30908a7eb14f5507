"""What this machine can hold, said before anybody logs in, with the number that would work."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path

from lab.errors import MissingError, UserError
from lab.load.model.spec import Load, Shard
from lab.load.workload.population import Population

#: Descriptors of a worker that are no user's: standard streams, the loop's, libraries, uploads under way.
OWN_FILES = 128

#: Ports held back from users: connections that were just closed keep theirs for a minute (TIME_WAIT).
PORT_RESERVE = 1000

_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def check_machine(load: Load, shard: Shard) -> None:
    """Raise the limit of open files as needed.

    Raises UserError for a load that makes no sense or does not fit the ports, MissingError where open files do not do.
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


def available_ports() -> int:
    """Connections that this machine can have to one address and port at a time."""
    low, high = map(int, _PORTS.read_text().split())
    return high - low + 1 - PORT_RESERVE


def _check_ports(load: Load) -> None:
    """Each connection to an address has a port of its own at our end (RFC 9293 section 3.3.1)."""
    people, most = Population(load), available_ports()
    users: Counter[tuple[str, int]] = Counter()
    for number, endpoint in enumerate(load.endpoints):
        users[endpoint.host, endpoint.port] += people.count(number)
    (host, port), count = users.most_common(1)[0]
    if count > most:
        raise UserError(
            f"{count} users on {host}:{port} need as many ports, and {most} can be had (net.ipv4.ip_local_port_range):"
            f" use at most {load.users * most // count} users, more servers, or widen the range"
        )


def _check_files(load: Load, shard: Shard) -> None:
    users = len(Population(load).owned(shard))
    needed = users + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = hard if hard != resource.RLIM_INFINITY else needed
    try:  # root may go beyond the hard limit, up to the kernel's own
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, most)))
    except (ValueError, OSError) as error:
        each = max(1, most - OWN_FILES)
        raise MissingError(
            f"{users} users of one worker need {needed} open files, and {most} are allowed (ulimit -Hn):"
            f" use at most {each * shard.of} users, or {-(-load.users // each)} workers"
        ) from error

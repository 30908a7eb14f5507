"""What a load is: who is connected, who writes to whom, when, and for how long. Data only, sent to workers as JSON.

One or several workers (processes) carry a load out. Worker `index` of `of` has the users whose number is congruent
to `index` modulo `of`, and its part of the rate. All workers derive the same plan from the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Endpoint:
    """Where the users of one server log in."""

    server: str  # name in the topology
    domain: str
    host: str
    port: int = 5222
    neighbours: tuple[str, ...] = ()  # names of the servers it federates with
    trusted: str = ""  # PEM of the server's certificate, where clients see a wrong one; "": what the authority signed


@dataclass(frozen=True)
class Load:
    """A load on a federation. The users of server s are load1@s … loadN@s; their accounts exist, with one password."""

    endpoints: tuple[Endpoint, ...]
    users: int  # in all, distributed over the endpoints in turn
    password: str
    authority: str  # PEM of the certificate authority; "" with security "none"
    traffic: str = (
        "neighbours"  # kind and options, see lab.load.workload.traffic: "local", "social:degree=8", "room:size=50"
    )
    arrivals: str = "constant:100/s"  # see lab.load.workload.arrivals; "closed:think=1s" is the closed model
    seconds: float = 30.0  # steady state, after the warm-up
    warmup: float = 5.0
    tick: float = 0.005  # seconds between two looks at what is due
    body: int = 64  # bytes of a message's body
    encryption: str = "plain"  # or "omemo", "omemo:2", "otr", see lab.load.worker.encrypted_engine
    libraries: str = ""  # the folder of shared libraries for it that the machine does not have
    security: str = "starttls"  # "starttls", "direct" (XEP-0368), "none" (only against the null server)
    resumption: bool = True  # XEP-0198
    login_rate: float = 200.0  # logins a second and worker while the users come up
    seed: int = 0
    due_times: bool = False  # keep when each message was due, so that those of lost ones are known: where faults act


@dataclass(frozen=True)
class Shard:
    """The part of a load that one worker carries out."""

    index: int = 0
    of: int = 1


def seeded_rng(*seed: object) -> Random:
    """A random number generator that depends on its arguments alone, so that it is the same in every worker.

    Give it the seed of the load and the name of what it is for: one generator for each purpose.
    """
    return Random("/".join(map(str, seed)))  # noqa: S311 - no secret depends on it

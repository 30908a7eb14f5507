"""What a load is: who is connected, who writes to whom, when, for how long. Data only; JSON on its way to a worker.

A load is carried by one or several workers (processes). Worker `index` of `of` has every user whose number is
congruent to `index` modulo `of`, and its part of the rate; all of them derive the same plan from the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """Where users of one server log in."""

    server: str  # name in the topology
    domain: str
    host: str
    port: int = 5222
    neighbours: tuple[str, ...] = ()  # names of the servers it federates with


@dataclass(frozen=True)
class Load:
    """A load on a federation. Users of server s are named load1@s … loadN@s; they exist and share one password."""

    endpoints: tuple[Endpoint, ...]
    users: int  # in all, dealt round-robin over the endpoints
    password: str
    authority: str  # PEM of the certificate authority; "" with security "none"
    traffic: str = (
        "neighbours"  # kind and options, see lab.load.workload.traffic_mix: "local", "social:degree=8", "room:size=50"
    )
    arrivals: str = "constant:100/s"  # see lab.load.workload.arrivals; "closed:think=1s" is the closed model
    seconds: float = 30.0  # steady state, after the warm-up
    warmup: float = 5.0
    tick: float = 0.005  # seconds between two looks at what is due
    body: int = 64  # bytes of a message's body
    encryption: str = "plain"  # or "omemo", see lab.load.worker.omemo_engine
    security: str = "starttls"  # "starttls", "direct" (XEP-0368), "none" (only against the null server)
    resumption: bool = True  # XEP-0198
    login_rate: float = 200.0  # logins a second and worker while the users come up
    seed: int = 0


@dataclass(frozen=True)
class Share:
    """One worker's part."""

    index: int = 0
    of: int = 1

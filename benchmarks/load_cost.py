"""What a message costs the generator: the engine beside tsung, on the same null server, interleaved, at equal rates.

    python benchmarks/load_cost.py [--quick]

The unit is CPU seconds of the generator (/proc, all threads) per 1000 messages that the server routed in the same
window. Both measure the delay of each message: the engine always does, tsung with `bidi` and `stamped`. The engine's
stream management is on, tsung has none. Ends with 1 if the engine takes more than a third of what tsung does, or if
there is no tsung to compare with.
"""

from __future__ import annotations

import platform
import statistics
import sys

from _load import Aims, Worker, median, null_server, window
from _tsung import Target, Tsung

from tests.load.null_server.stream import PASSWORD

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (1, 3.0) if QUICK else (3, 8.0)
SETTLE = 2.0  # seconds of the load before the window
AIM = 1 / 3  # of tsung's CPU


def ours(security: str, rate: int, users: int) -> tuple[float, float]:
    """Rate and cost of the engine."""
    with null_server(security) as null:
        load = null.load(
            users=users, arrivals=f"{rate}/s", warmup=SETTLE, seconds=SECONDS + 5, login_rate=1000.0, tick=0.005
        )
        with Worker(load) as worker:
            worker.until("connected")
            worker.go()
            worker.until("sample")
            worker.until("sample")
            return window(null, worker.pid, SECONDS)


def theirs(security: str, rate: int, users: int) -> tuple[float, float]:
    """Rate and cost of tsung."""
    with (
        null_server(security) as null,
        Tsung(Target(null.host, null.port, security, password=PASSWORD), users, rate) as tsung,
    ):
        tsung.until_all_write(lambda: null.routed, rate)
        return window(null, tsung.pid, SECONDS)


def main() -> int:
    """Print each case, and whether its aim is kept."""
    have, aims = Tsung.available(), Aims()
    print(f"the engine runs on Python {platform.python_version()} of {sys.base_prefix}")
    if not have:
        print("tsung is not installed (Debian: apt-get install tsung): the engine alone, nothing is compared")
    for security in ("none", "direct"):
        for rate in (2000, 5000):
            users = rate // 10
            engine: list[float] = []
            tsung: list[float] = []
            rates: list[int] = []
            for _ in range(ROUNDS):
                reached, cost = ours(security, rate, users)
                engine.append(cost)
                rates.append(round(reached))
                if have:
                    reached, cost = theirs(security, rate, users)
                    tsung.append(cost)
                    rates.append(round(reached))
            name = "plain" if security == "none" else "TLS"
            print(f"{name:5} {rate}/s, {users} users: engine {median(engine)}", end="")
            print(f", tsung {median(tsung)}" if have else "", f"  [rates {rates}]", flush=True)
            if have:
                shares = [mine / its for mine, its in zip(engine, tsung, strict=True)]
                aims.at_most(f"share of tsung's CPU, {name}, {rate}/s", statistics.median(shares), AIM)
    return int(aims.missed > 0 or not have)


if __name__ == "__main__":
    sys.exit(main())

"""What a login costs our side, and how long accounts in bulk take, on servers of a lab of plain processes.

    python benchmarks/logins.py [LOGINS] [ROUNDS]

Devices live in this process, so that its CPU seconds are all of our side: TLS, SCRAM, binding, presence. They log in
all at once. One login comes first and is not counted: imports, the TLS context and the password's derivation are paid
once. Ends with 1 if an aim is missed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from lab.clients.remote import Agent
from lab.declarations.manifest import PORTS
from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.topology.files import load

LOGINS, ROUNDS = 200, 3
CPU_AIM = 0.020  # seconds of our side's processor time for each login
ACCOUNTS, ACCOUNTS_AIM = 1000, 2.0  # so many on a server that runs, in so many seconds
DEADLINE = 60.0  # seconds for a login


def main(logins: int = LOGINS, rounds: int = ROUNDS) -> int:
    """Measure, print, and say whether the aims are met."""
    return asyncio.run(measure(logins, rounds))


async def measure(logins: int, rounds: int) -> int:
    """Accounts and logins on a lab of our own."""
    lab = await labs.up(load("pair,software=prosody+ejabberd"), runtime="processes", owned=True)
    agent = Agent.inline()
    try:
        users = [f"bulk{number}" for number in range(max(ACCOUNTS, logins))]
        made = {}
        for server in lab.plan.servers:
            begun = time.monotonic()
            await lab.create_accounts(server.spec.name, users[:ACCOUNTS])
            made[server.spec.software] = time.monotonic() - begun
        await lab.create_accounts("a", users[ACCOUNTS:])
        await login(agent, lab, users[0], "first")
        costs = [await cost(agent, lab, users[:logins], f"round{number}") for number in range(rounds)]
    finally:
        await agent.close()
        await lab.down()
    cpu = statistics.median(costs)
    print(f"a login: {1e3 * cpu:.1f} ms CPU of our side (aim {1e3 * CPU_AIM:g}); {logins} at once, median of {rounds}")
    for software, took in made.items():
        print(f"{ACCOUNTS} accounts on a {software} that runs: {took:.2f} s (aim {ACCOUNTS_AIM:g})")
    return 0 if cpu <= CPU_AIM and max(made.values()) <= ACCOUNTS_AIM else 1


async def cost(agent: Agent, lab: Lab, users: list[str], resource: str) -> float:
    """CPU seconds of this process for each login; everyone is logged out again."""
    begun = time.process_time()
    await asyncio.gather(*(login(agent, lab, user, resource) for user in users))
    each = (time.process_time() - begun) / len(users)
    await asyncio.gather(*(agent.call("disconnect", f"{user}/{resource}") for user in users))
    return each


async def login(agent: Agent, lab: Lab, user: str, resource: str) -> None:
    """A device online: presence is sent."""
    server = lab.plan.server("a")
    await agent.call(
        "connect",
        f"{user}/{resource}",
        jid=f"{user}@{server.spec.domain}",
        password=lab.password,
        resource=resource,
        host=server.address,
        port=PORTS.client,
        authority=lab.authority,
        encryption="plain",
        trust="blind",
        folder=lab.agent_folder("a", user, resource),
        timeout=DEADLINE,
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

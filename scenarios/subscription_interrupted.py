"""A contact request is not lost because the other server is down: it is repeated (RFC 6121 section 3.1.2).

A server that is refused, or hears nothing, sends the request again when a device of who asked becomes available.
Prosody does; ejabberd 24.12 does not, so that alice waits for ever and bob never knows.
"""

from lab import Federation, scenario, step
from lab.faults import stop


@scenario(spec="RFC 6121 3.1.2, 3.1.3", expects={"roster": {"ejabberd@24.12": "failed"}})
async def subscription_interrupted(federation: Federation) -> None:
    """A contact request meets a server that is down; afterwards both rosters must agree."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("alice asks while bob's server is down, and is told that it cannot be reached"):
        async with federation.inject(stop(b)):
            await alice.subscribe(bob)
            await alice.device.received(
                lambda stanza: (stanza.name, stanza.type) == ("presence", "error"), within="60s"
            )
    with step("both come back"):
        await bob.connect()
        await alice.disconnect()
        await alice.connect()
    with step("bob receives the request, and grants it"):
        await bob.approve(alice, within="30s")

"""A subscription is withdrawn while the subscriber's server is down: nobody repeats it, and the rosters disagree.

RFC 6121 has servers repeat requests, and says nothing of withdrawals. Neither Prosody 13.0 nor ejabberd 24.12 repeats
one, so that alice's roster still has bob, whom she does not see any more.
"""

from lab import Federation, scenario, step
from lab.faults import stop


@scenario(spec="RFC 6121 3.2", expects={"roster": {"prosody@13.0": "failed", "ejabberd@24.12": "failed"}})
async def subscription_withdrawn(federation: Federation) -> None:
    """A contact withdraws what was granted while the other's server is down; the rosters disagree."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("bob lets alice see him"):
        await alice.subscribe(bob)
        await bob.approve(alice, within="30s")
        await alice.roster({bob: "to"}, within="30s")
    with step("he withdraws it while her server is down, and is told that it cannot be reached"):
        async with federation.inject(stop(a)):
            await bob.deny(alice)
            await bob.device.received(lambda stanza: (stanza.name, stanza.type) == ("presence", "error"), within="60s")
    with step("both come back"):
        await alice.connect()
        await bob.disconnect()
        await bob.connect()

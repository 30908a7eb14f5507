import asyncio

from lab import Federation, PeerError, expect, scenario, step
from lab.faults import downgrade


@scenario(spec="XEP-0384, OTR v3", encryptions=["otr"])
async def encryption_downgraded(federation: Federation) -> None:
    """Somebody between two servers hides what is offered: older versions are used unnoticed, plain text by nobody."""
    a, b = federation.linked_pair()
    link = federation.link(a, b)
    pairs = {
        encryption: (await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption))
        for encryption in ("omemo", "omemo:2", "omemo+omemo:2", "otr")
    }
    alice, bob = pairs["omemo+omemo:2"]
    with step("undisturbed, who speaks both versions of OMEMO uses the newer one"):
        newer = await alice.send(bob, federation.secret())
        expect([one.encryption for one in (await newer.outcome()).deliveries], ["omemo:2"])
    async with federation.inject(downgrade(link, to="omemo")):
        with step("without the lists of OMEMO 2 they use 0.3, and nobody is told"):
            older = await alice.send(bob, federation.secret())
            expect([one.encryption for one in (await older.outcome()).deliveries], ["omemo"])
    async with federation.inject(downgrade(link, to="plain")):
        with step("without any list, or offer of OTR, nobody sends in the clear instead"):
            tried = (one.send(other, federation.secret()) for one, other in pairs.values())
            refused = await asyncio.gather(*tried, return_exceptions=True)
            expect([type(one) for one in refused], [PeerError] * len(pairs))
    alice, bob = pairs["otr"]
    async with federation.inject(downgrade(link, to="otr:2")):
        with step("OTR agrees on version 2, and nobody is told"):
            await (await alice.send(bob, federation.secret())).outcome()
            heads = [(one.body or "")[:9] for one in alice.device.stanzas if one.direction == "out"]
            expect([one for one in heads if one in ("?OTR:AAID", "?OTR:AAMD")], ["?OTR:AAID"])

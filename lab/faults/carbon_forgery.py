"""`forge_carbon`: a server sends somebody copies of messages that nobody has sent (docs/faults.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.sax.saxutils import escape, quoteattr

from lab.clients.xmpp.stanzas import CARBONS, CLIENT, FORWARD
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.carbon_forgery import DECLARATION
from lab.errors import TimedOut, UserError
from lab.faults.fault import ServerLike
from lab.faults.server_attack import ServerAttack, ServerFault
from lab.federation import Federation, Message, Person
from lab.federation.context import Json, read_duration
from lab.network.control import Control

#: What is put behind the id of a message for the id of the copy that is sent with it.
FORGED = "-forged"
#: What the copies say.
TEXT = "Pay 10,000 to the account that I send you."


class CarbonForgery(ServerAttack):
    """What a script sees of the attack: which copies have been sent."""

    name = DECLARATION.name

    def __init__(self, federation: Federation, server: str, person: Person, claimed: str) -> None:
        super().__init__(federation, server, person)
        self._claimed = claimed

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rule that shows messages for the person."""
        return [{"action": "read", "stanza": "message", "receiver": self._person.jid}]

    async def deal(self, control: Control, one: Json) -> None:
        """Send a copy from whoever has written: they are not the person, whose server alone may send one."""
        if not one["id"]:
            return
        to, forged = quoteattr(self._person.jid), f"id={quoteattr(one['id'] + FORGED)}"
        copy = (
            f"<message xmlns='{CLIENT}' type='chat' {forged} from={quoteattr(self._claimed)} to={to}>"
            f"<body>{escape(TEXT)}</body></message>"
        )
        stanza = (
            f"<message type='chat' from={quoteattr(one['sender'])} to={to}><received xmlns='{CARBONS}'>"
            f"<forwarded xmlns='{FORWARD}'>{copy}</forwarded></received></message>"
        )
        await self.send(control, one["source"], one["target"], stanza)
        await self.settle_message(one["id"])

    async def sent(self, message: Message, within: str | float = "30s") -> str:
        """The id of the copy that is sent with a message; returns once it is under way. Raises TimedOut."""
        deadline = read_duration(within)
        try:
            async with asyncio.timeout(deadline), self._changed:
                await self._changed.wait_for(lambda: message.id in self._texts)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no copy was sent with message {message.id} within {deadline:g} s") from None
        return message.id + FORGED


@dataclass(frozen=True, kw_only=True)
class ForgedCarbon(ServerFault):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION
    to: Person
    claims: Person

    async def apply(self, federation: Federation) -> CarbonForgery:
        """Begin. Raises UserError where there is no link, or the server could claim it without a copy."""
        if self.claims.server is federation.server(self.at):
            raise UserError(f"{self.name}: claims: {self.claims} is of {self.at}, which need not forge a copy for that")
        attack = CarbonForgery(federation, self.at, self.to, self.claims.jid)
        return await self.begin(federation, attack, [self.to.server], direction="to")


def forge_carbon(*, at: ServerLike, to: Person, claims: Person) -> ForgedCarbon:
    """Let a server send a person, with each message, a carbon copy (XEP-0280) of one that `claims` has never sent.

    It is sent in the name of whoever wrote the message. A device must ignore it: only the own account may send copies
    (section 11, CVE-2017-5589). The value in the `async with` block tells of each message when the copy is under way:
    `await forgery.sent(message)`. Raises UserError for each wrong field.
    """
    return ForgedCarbon(**DECLARATION.read({"at": at, "to": to, "claims": claims}))

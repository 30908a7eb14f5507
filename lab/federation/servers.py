"""The servers of a running federation, and the links between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.clients.encryption import check_choice
from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import NotApplicable, UserError
from lab.federation import administration, jids
from lab.federation.context import Context
from lab.federation.guests import Guest
from lab.federation.outcomes import Delivers, Promise
from lab.federation.participants import Participants
from lab.federation.peers import Peer
from lab.federation.people import Person
from lab.federation.rooms import Room
from lab.federation.user_names import reserve_name
from lab.topology.spec import Feed


class ServerHandle:
    """One server of the running federation: its name and domain, and the accounts and rooms that it can have."""

    def __init__(self, participants: Participants, servers: Mapping[str, ServerHandle], name: str) -> None:
        """`servers` are all servers by name, this one included once all are made."""
        self._participants = participants
        self._context = participants.context
        self._servers = servers
        self._plan = self._context.lab.plan.server(name)
        self.spec = self._plan.spec  # as the topology has it
        self.name = name  # in the topology
        self.domain = self.spec.domain
        self.address = self._plan.address  # IP address
        self.c2s_port = self.spec.manifest.ports.client  # TCP port for clients

    @property
    def neighbours(self) -> tuple[ServerHandle, ...]:
        """The servers that this one federates with, in the topology's order."""
        return tuple(self._servers[name] for name in self._context.lab.plan.topology.neighbours(self.name))

    @property
    def linked(self) -> tuple[ServerHandle, ...]:
        """The same, and those with a link that must not come up (`comes_up: false`)."""
        return tuple(self._servers[name] for name in self._context.lab.plan.topology.linked(self.name))

    async def person(
        self,
        name: str | None = None,
        *,
        encryption: str = "plain",
        trust: str = "blind",
        devices: int = 1,
        resumable: bool = False,
        keys_optional: bool = False,
    ) -> Person:
        """A new person with an account here (RFC 6121), with so many devices, each connected.

        Without `name` it is one of alice, bob, carol and so on. Where the name is taken by an earlier run in the same
        lab, a number is added. A name is prepared as servers do it (RFC 7622 section 3.3): "Alice" is alice.
        `encryption` is "plain", "omemo" (XEP-0384 version 0.3), "omemo:2" (version 0.9), "omemo+omemo:2" (both) or
        "otr" (legacy); "omemo-dr" is version 0.3 by another library, "omemo-keys-lost" publishes keys and can neither
        read nor encrypt. `trust` in keys not seen before is "blind" or "undecided". With `resumable` the server is
        asked to keep a device's stream when its connection is lost (XEP-0198 section 5): see `Device.resume`. Returns
        once every device can be written to: with OMEMO, once its bundle can be fetched. With `keys_optional` a device
        goes online also where its server refuses to publish its keys: then it encrypts to nobody, and nobody to it.

        Raises NotApplicable on a server where the lab makes no accounts, UserError for a name that cannot be in a JID,
        for less than one device or where all accounts are taken, PeerError if the server refuses, TimedOut after 60
        seconds for a device.
        """
        if self.spec.manifest.accounts is Accounts.NONE:
            raise NotApplicable(f"the lab makes no accounts on {self.name}, which is {self.spec.software}")
        check_choice(encryption, trust)
        if devices < 1:
            raise UserError(f"a person needs at least one device, not {devices}")
        wanted = None if name is None else jids.prepare_localpart(name)
        people = self._participants.people
        user = await self._add_account(wanted, frozenset(one.name for one in people))
        person = Person(self._participants, self, user, encryption, trust, keys_optional=keys_optional)
        person.asked_name = wanted or user
        for _ in range(devices):
            await person.add_device(resumable=resumable)
        people.append(person)
        return person

    async def guest(self, name: str | None = None) -> Guest:
        """A new person with an account here (RFC 6121), whose client is a program of somebody's: `Federation.process`.

        Names are as for `person`. Returns once the account can log in, with `jid` and `password`. Raises NotApplicable
        on a server where the lab makes no accounts, or without a feed, in which alone a guest is seen; UserError for a
        name that cannot be in a JID, PeerError if the server refuses.
        """
        if self.spec.manifest.accounts is Accounts.NONE:
            raise NotApplicable(f"the lab makes no accounts on {self.name}, which is {self.spec.software}")
        if self.spec.feed is Feed.OFF or not self.spec.manifest.instrumented:
            raise NotApplicable(f"{self.name} has no feed, and what a guest sends and receives is seen there only")
        wanted = None if name is None else jids.prepare_localpart(name)
        known = frozenset(one.name for one in self._participants.people)
        known |= {one.name for one in self._participants.guests}
        user = await self._add_account(wanted, known)
        guest = Guest(self._participants, self, user)
        self._participants.guests.append(guest)
        return guest

    async def _add_account(self, wanted: str | None, known: frozenset[str]) -> str:
        """A user name of its own, with an account; see `reserve_name`."""
        context = self._context
        user = reserve_name(context.lab.layout, self.spec, wanted, known)
        context.accounts.append((self.name, user))
        if self.spec.manifest.accounts is not Accounts.LISTED:
            await context.lab.create_accounts(self.name, [user])
        return user

    async def room(
        self,
        name: str,
        *,
        occupants: Sequence[Person],
        members: Sequence[Person] = (),
        members_only: bool = False,
        non_anonymous: bool = False,
    ) -> Room:
        """A room hosted here (XEP-0045 section 7.2), with these people in it; the first is its owner.

        `members` get that affiliation without joining. With `members_only` nobody else enters, and who joins is made a
        member by the owner before; with `non_anonymous` everybody sees everybody's JID. Encryption wants
        `non_anonymous`, and both are advised (XEP-0384 section 5.8).

        Returns once every occupant has seen every other one join. Raises as `Room.join` does.
        """
        room = Room(
            self._participants,
            self,
            jids.prepare_localpart(name, "room's name"),
            members_only=members_only,
            non_anonymous=non_anonymous,
        )
        await room.join(*occupants)
        for person in members:
            await room.affiliation(person, "member")
        return room

    async def register(
        self,
        name: str,
        *,
        invitation: str | None = None,
        encryption: str = "plain",
        trust: str = "blind",
        devices: int = 1,
    ) -> Person:
        """A new person, who registers their account in band (XEP-0077 section 3.1).

        The name is registered as it is prepared (RFC 7622 section 3.3): no number is added. `invitation` is a token
        (XEP-0445). `encryption`, `trust`, `devices` (how many) and what holds once it returns are as for `person`.

        Raises PeerError if the server refuses, with its `condition`: "conflict" for a name that is taken, others where
        registration is closed; UserError for a name that cannot be in a JID or less than one device, TimedOut after 60
        seconds.
        """
        if devices < 1:
            raise UserError(f"a person needs at least one device, not {devices}")
        check_choice(encryption, trust)
        person = Person(self._participants, self, jids.prepare_localpart(name), encryption, trust)
        await administration.register(person, invitation)
        self._participants.people.append(person)
        for _ in range(devices):
            await person.add_device()
        return person

    async def registration(self, mode: str) -> None:
        """Let everybody ("open"), nobody ("closed") or who has an invitation ("invited") register in band (XEP-0077).

        It is closed when the lab starts. Returns once the server does so. Raises NotApplicable for a server software
        that cannot, PeerError if it refuses, UserError for another word.
        """
        await administration.set_registration(self._context, self.name, mode)

    async def invitation(self) -> str:
        """A token with which one account can be registered here (XEP-0401, XEP-0445), see `register`.

        Raises NotApplicable for a server software that has no invitations, PeerError if it refuses.
        """
        return await administration.create_invitation(self._context, self.name)

    async def delete(self, person: Person) -> None:
        """Delete the account of a person of this server, as its administrator.

        Returns once it is gone and the person's devices are disconnected: a message to them is refused from then on
        (RFC 6121 section 8.5.1). Raises NotApplicable for a server software that cannot, PeerError if it refuses,
        UserError for a person of another server, TimedOut if a device stays connected for 30 seconds.
        """
        if person.server is not self:
            raise UserError(f"delete: {person} has no account on {self}")
        await administration.delete(person)

    async def refuse(self, other: ServerHandle | str) -> None:
        """Refuse a server, or a domain and all below it, from now on, in both directions (RFC 6120 section 4.9.3.14).

        Open streams with it are closed; what is under way may be lost. Returns once the server does so: then the
        `promise` of the link is a refusal. Raises NotApplicable for a server software that cannot, PeerError if it
        refuses, UserError for the server itself.
        """
        domain = _domain_of(other)
        if domain == self.domain:
            raise UserError(f"refuse: {self} cannot refuse itself")
        await administration.refuse(self._context, self.name, domain, refused=True)

    async def accept(self, other: ServerHandle | str) -> None:
        """End what `refuse` began (RFC 6120 section 4.9.3.14).

        Returns once the server accepts the domain again. The other one may still refuse what it is given for a second:
        ejabberd waits as long before it tries again. Raises as `refuse` does.
        """
        await administration.refuse(self._context, self.name, _domain_of(other), refused=False)

    def peer(self) -> Peer:
        """This server as a scripted peer, to be entered with `async with`: it then listens.

        Raises NotApplicable if it is not `software: scripted`.
        """
        if self.spec.manifest.started_by is not StartedBy.SCRIPT:
            raise NotApplicable(f"{self.name} is {self.spec.software}: give it `software: scripted` to script it")
        return Peer(self._participants, self)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<server {self.name} ({self.domain}, {self.spec.software} {self.spec.version})>"


@dataclass(frozen=True)
class LinkHandle:
    """The route from one server to another in this direction, linked or not (RFC 6120 section 10.4)."""

    source: ServerHandle
    target: ServerHandle
    linked: bool  # and not by a link that must not come up
    promise: Promise  # what becomes of a message that takes it: Delivers, or Refuses

    @classmethod
    def between(cls, context: Context, source: ServerHandle, target: ServerHandle) -> LinkHandle:
        """The route from `source` to `target`; one server is linked with itself."""
        promise = context.promise(source.name, target.name)
        return cls(source, target, isinstance(promise, Delivers), promise)

    def __str__(self) -> str:
        return f"{self.source} {'->' if self.linked else '-/-'} {self.target}"


def _domain_of(server: ServerHandle | str) -> str:
    return server if isinstance(server, str) else server.domain

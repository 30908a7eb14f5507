"""What an administrator does on a running server: registration, accounts, refused domains."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import NotApplicable, PeerError, TimedOut, UserError
from lab.federation.context import Context
from lab.federation.people import Person
from lab.federation.server_changes import find_left
from lab.federation.user_names import keep_name
from lab.history.events import AccountDeleted, AccountRegistered, DomainAccepted, DomainRefused, RegistrationChanged
from lab.servers import get_software
from lab.servers.software import Operation, Registration, Software

# All in seconds.
REGISTRATION_DEADLINE = 60.0
# A server closes the streams of an account that it deletes at once.
DISCONNECT_DEADLINE = 30.0
DISCONNECT_POLL_INTERVAL = 0.05

#: The condition of a ping that nobody has answered in time.
NO_ANSWER = "no-answer"


@dataclass(frozen=True)
class Pong:
    """What became of a ping."""

    at: float  # when it was sent, seconds since the epoch
    seconds: float  # until its answer, or until it was given up
    condition: str  # of the stanza error that was the answer (RFC 6120 section 8.3.3), "" for a result, or NO_ANSWER
    text: str  # of that error


async def register(person: Person, invitation: str | None) -> None:
    """Let a person register their account in band; see `ServerHandle.register`."""
    context, server = person.context, person.server
    await context.call_without_keys(
        "register",
        f"{person.jid}/registration",
        jid=person.jid,
        password=context.lab.password,
        host=server.address,
        port=server.c2s_port,
        authority=context.lab.trusted(server.name),
        token=invitation,
        timeout=REGISTRATION_DEADLINE,
    )
    keep_name(context.lab.layout, server.spec, person.name)
    context.accounts.append((server.name, person.name))
    now = context.history.now()
    context.history.record(AccountRegistered(at=now, person=person.jid, invited=invitation is not None))


async def set_registration(context: Context, server: str, mode: str) -> None:
    """See `ServerHandle.registration`."""
    if mode not in [one.value for one in Registration]:
        raise UserError(f"registration: one of {', '.join(Registration)}, not {mode!r}")
    found = _find_software(context, server).registration(Registration(mode))
    operations = _require(context, server, found, f"set registration to {mode!r}")
    changes = context.changes
    changes.write(changes.refused, changes.opened | {server})
    await context.lab.operate(server, operations)
    context.history.record(RegistrationChanged(at=context.history.now(), server=server, mode=mode))
    (changes.opened.discard if mode == Registration.CLOSED else changes.opened.add)(server)
    changes.write(changes.refused, changes.opened)


async def create_invitation(context: Context, server: str) -> str:
    """See `ServerHandle.invitation`."""
    found = _find_software(context, server).invitation()
    return (await context.lab.operate(server, _require(context, server, found, "make an invitation")))[-1]


async def delete(person: Person) -> None:
    """See `ServerHandle.delete`."""
    context, server = person.context, person.server.name
    found = _find_software(context, server).deletion([person.name])
    operations = _require(context, server, found, "delete an account")
    # What is sent while the server is asked may be refused: it is recorded as deleted before.
    context.history.record(AccountDeleted(at=context.history.now(), person=person.jid))
    person.deleted = True
    await context.lab.operate(server, operations)
    if (server, person.name) in context.accounts:
        context.accounts.remove((server, person.name))
    try:
        async with asyncio.timeout(DISCONNECT_DEADLINE):
            while True:
                if not any(one.connected for one in person.devices):
                    return
                await asyncio.sleep(DISCONNECT_POLL_INTERVAL)
    except TimeoutError:
        connected = tuple(f"{one} is connected" for one in person.devices if one.connected)
        raise TimedOut(f"{server} deleted {person} and closed not all streams", connected) from None


async def refuse(context: Context, server: str, domain: str, *, refused: bool) -> None:
    """Refuse a domain or accept it again; see `ServerHandle.refuse`."""
    changes = context.changes
    wanted = {one for name, one in changes.refused if name == server}
    wanted = wanted | {domain} if refused else wanted - {domain}
    found = _find_software(context, server).refusals(sorted(wanted))
    operations = _require(context, server, found, f"refuse {domain}")
    if refused:  # recorded before it holds, and until it holds no more: a refusal in between has this reason
        context.history.record(DomainRefused(at=context.history.now(), server=server, domain=domain))
    changes.write(changes.refused | {(server, domain)}, changes.opened)
    await context.lab.operate(server, operations)
    if refused:
        changes.refused.add((server, domain))
    else:
        changes.refused.discard((server, domain))
        context.history.record(DomainAccepted(at=context.history.now(), server=server, domain=domain))
    changes.write(changes.refused, changes.opened)


def can_ping(context: Context, server: str) -> bool:
    """Whether a server can be asked to ping others itself."""
    return _find_software(context, server).ping("", 0.0) is not None


async def ping(context: Context, server: str, domain: str, within: float) -> Pong:
    """Let a server itself ping a domain (XEP-0199) and wait so many seconds. Raises NotApplicable, PeerError."""
    found = _find_software(context, server).ping(domain, within)
    answers = await context.lab.operate(server, _require(context, server, found, f"ping {domain}"))
    try:
        said = json.loads(answers[-1])
        return Pong(float(said["at"]), float(said["seconds"]), str(said["condition"]), str(said["text"]))
    except (ValueError, KeyError, TypeError):
        raise PeerError(f"{server}: asked to ping {domain} it answered {answers[-1][:200]!r}") from None


async def restore(context: Context) -> None:
    """Accept again who is still refused, and close registration: the next run finds servers as the lab made them."""
    for server in sorted(context.changes.opened):
        await set_registration(context, server, Registration.CLOSED)
    for server, domain in sorted(context.changes.refused):
        await refuse(context, server, domain, refused=False)


async def restore_left(context: Context) -> None:
    """Restore what a run that was killed has left, before this one begins: nothing of it is in its history."""
    for file, refusing, opened in find_left(context.lab.layout):
        for server in sorted(opened):
            found = _find_software(context, server).registration(Registration.CLOSED)
            await context.lab.operate(server, _require(context, server, found, "close registration"))
        for server in sorted(refusing):
            found = _find_software(context, server).refusals([])
            await context.lab.operate(server, _require(context, server, found, "accept all domains"))
        file.unlink(missing_ok=True)


def _find_software(context: Context, server: str) -> Software:
    return get_software(context.lab.plan.server(server).spec.software)


def _require(context: Context, server: str, operations: Sequence[Operation] | None, what: str) -> Sequence[Operation]:
    """The operations, if the software has a way to do this."""
    if operations is None:
        spec = context.lab.plan.server(server).spec
        raise NotApplicable(f"{server}, which is {spec.software} {spec.version}, has no way to {what} while it runs")
    return operations

"""Many devices, addressed by name: what an agent does, without the pipes.

`Host.handle` takes a request as lab/clients/protocol.py has it and gives its answer; it never raises but when it is
cancelled, so that one bad request harms no other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import typing
from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin

from lab.clients.characters import check_fields
from lab.clients.encryption import STRATEGIES
from lab.clients.protocol import VERSION
from lab.errors import LabError, TimedOut, UserError, encode_answer

if typing.TYPE_CHECKING:
    from lab.clients.device import ClientDevice
    from lab.clients.scripted_peer import ScriptedPeer

Json = dict[str, Any]

log = logging.getLogger("lab.agent")

#: Requests of a device: the names of its methods.
OPERATIONS = frozenset({
    "connect", "disconnect", "send", "send_raw", "join", "leave", "occupants", "configure_room", "archive",
    "devices", "remove_device", "fingerprints", "set_trust", "ping", "iq", "presence", "register",
    "drop_connection", "stall_connection", "release_connection", "resume", "delay_acknowledgements", "upload", "fetch",
    "verify", "answer", "end_session", "rotate_signed_prekey", "replace_sessions", "back_up", "restore",
})  # fmt: skip

#: Requests of a raw server-to-server peer: the names of its methods behind this prefix.
PEER = "peer_"
PEER_OPERATIONS = frozenset(PEER + name for name in ("listen", "send", "raw", "behave", "negotiate", "open", "close"))

#: Those that may name a device for the first time.
FIRST = frozenset({"connect", "register", "peer_listen"})

#: Fields that are written to a stream as they are; all others go into XML.
RAW = frozenset({"xml", "data", "features"})

#: Seconds that a request may take if it sets no `timeout`.
TIMEOUT = 30.0

#: Seconds that all devices together have to disconnect.
CLOSING = 5.0

#: Fields whose names Python (or the method itself) has taken.
_RENAMED = {"with": "with_", "archive": "archive_"}


class Host:
    """The devices of one process."""

    def __init__(self, emit: Callable[[Json], None], name: str = "xmpplab") -> None:
        self._emit = emit
        self._name = name
        self._devices: dict[str, ClientDevice | ScriptedPeer] = {}

    async def handle(self, request: Json) -> Json:
        """The answer to a request: with "ok", or with "error"."""
        number = request.get("id")
        try:
            return {"id": number, "ok": await self._do(request)}
        except Exception as error:  # whatever fails is answered, and logged for people
            if not isinstance(error, LabError):
                log.exception("request %r failed", request.get("op"))
            return {"id": number, "error": encode_answer(error)}

    async def close(self) -> None:
        """Disconnect every device, without waiting longer than CLOSING seconds for their servers."""
        if leaving := [asyncio.ensure_future(device.disconnect()) for device in self._devices.values()]:
            _, late = await asyncio.wait(leaving, timeout=CLOSING)
            for task in late:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
        self._devices.clear()

    async def _do(self, request: Json) -> Json:
        op = request.get("op")
        if op == "hello":
            return {"protocol": VERSION, "agent": self._name, "encryptions": sorted(STRATEGIES)}
        if not isinstance(op, str) or op not in OPERATIONS | PEER_OPERATIONS:
            known = ", ".join(sorted(OPERATIONS | PEER_OPERATIONS))
            raise UserError(f"op {op!r} is unknown: use one of hello, {known}")
        name = request.get("device")
        if not isinstance(name, str) or not name:
            raise UserError("device: a name is needed, any text you like")
        device = self._device(name, op)
        limit = request.pop("timeout", TIMEOUT)
        if not isinstance(limit, int | float) or isinstance(limit, bool) or limit <= 0:
            raise UserError(f"{op}: timeout must be a number of seconds above 0")
        work = getattr(device, op.removeprefix(PEER))(**_fields(op, request))
        try:
            async with asyncio.timeout(limit):
                result: Json = await work
        except TimeoutError:
            evidence = (device.step,) if op in ("connect", "register", "resume", *PEER_OPERATIONS) else ()
            raise TimedOut(f"{op} of device {name!r} took longer than {limit:g} s", evidence) from None
        return result

    def _device(self, name: str, op: str) -> ClientDevice | ScriptedPeer:
        kind = _kind(op)
        if name not in self._devices:
            if op not in FIRST:
                first = "connect" if op in OPERATIONS else "peer_listen"
                raise UserError(f"device {name!r} is unknown: {first} it first")
            self._devices[name] = kind(name, self._emit)
        device = self._devices[name]
        if not isinstance(device, kind) and op != "disconnect":
            raise UserError(f"{op}: {name!r} is a {device.KIND}, which has no such request")
        return device


def _kind(op: str) -> type[ClientDevice | ScriptedPeer]:
    """What a request is for; imported when first needed."""
    if op in PEER_OPERATIONS:
        from lab.clients.scripted_peer import ScriptedPeer

        return ScriptedPeer
    from lab.clients.device import ClientDevice

    return ClientDevice


def _fields(op: str, request: Json) -> Json:
    """The arguments of the operation.

    Raises UserError for a missing, unknown or ill-typed field, or for a character that XML forbids.
    """
    known = _signature(op)
    given = {_RENAMED.get(key, key): value for key, value in request.items() if key not in ("id", "op", "device")}
    for name, value in given.items():
        if name not in known:
            names = ", ".join(key.rstrip("_") for key in known)
            raise UserError(f"{op} has no field {name.rstrip('_')!r}: it takes {names or 'none'}")
        kinds, _ = known[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise UserError(f"{op}: {name.rstrip('_')} must be {wanted}, not {type(value).__name__}")
    if missing := [name for name, (_, needed) in known.items() if needed and name not in given]:
        raise UserError(f"{op} needs the field {missing[0].rstrip('_')!r}")
    check_fields(op, given, RAW)
    return given


@cache
def _signature(op: str) -> dict[str, tuple[tuple[type, ...], bool]]:
    """Field -> the types it may have, whether it must be given."""
    method = getattr(_kind(op), op.removeprefix(PEER))
    hints = typing.get_type_hints(method)
    return {
        name: (_types(hints[name]), parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    }


def _types(hint: Any) -> tuple[type, ...]:
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kinds = {get_origin(part) or part for part in parts}
    return tuple(sorted(kinds | ({int} if float in kinds else set()), key=lambda kind: kind.__name__))

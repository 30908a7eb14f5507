"""What a lab's service does when asked over its control socket; docs/network.md has a paragraph for each.

Each operation checks what it is given first and says what to change (UserError).
"""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import FaultTarget
from lab.declarations.faults import FAULTS
from lab.declarations.links import LINK_FIELDS
from lab.errors import UserError
from lab.network.capture import LinkCapture
from lab.network.control import Handler, connection
from lab.network.dns import DROP, Query, Resolver
from lab.network.fault_engine import FaultEngine
from lab.network.impairments import LinkImpairments
from lab.network.interceptions import Interceptions
from lab.network.relay import Relay
from lab.network.server_processes import STOP_PATIENCE, ServerProcesses
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.plan.zones import Answer, Record
from lab.topology.faults import read_one

#: Names of the operations; each is a method of `Operations`.
OPERATIONS = (
    *("status", "queries", "set_link", "start_faults", "add_fault", "list_faults", "heal_faults", "fault_events"),
    *("intercept_client", "release_clients", "interventions", "send_stanza", "start_capture", "search_capture"),
    *("spawn", "stop", "signal", "override", "shutdown"),
)

RCODES = ("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", DROP)
ANYBODY = "*"  # an override for every asker


@dataclass(frozen=True)
class Operations:
    """The operations of one service, on its parts."""

    layout: Layout
    plan: Plan
    servers: ServerProcesses
    relays: Sequence[Relay]
    links: Mapping[tuple[str, str], LinkImpairments]  # by source and target
    resolver: Resolver
    faults: FaultEngine
    interceptions: Interceptions
    capture: LinkCapture
    end: Callable[[], None]  # lets the service end in order

    def handlers(self) -> dict[str, Handler]:
        """Every operation by its name."""
        return {name: getattr(self, name) for name in OPERATIONS}

    async def status(self, request: dict[str, Any]) -> dict[str, Any]:
        """Servers' states by name, relays' counters, DNS totals by response code."""
        return {
            "lab": str(self.layout.root),
            "runtime": self.plan.facts.runtime,
            "servers": self.servers.states(),
            "relays": [relay.describe() for relay in self.relays],
            "dns": dict(self.resolver.totals),
        }

    async def queries(self, request: dict[str, Any]) -> dict[str, Any]:
        """The last `limit` questions to the name server, oldest first.

        `asker` chooses one server's, `since` those after that number. `last` is the number of the last question of all.
        """
        limit = _number(request, "limit", 1000.0, least=1.0)
        asker, since = request.get("asker"), _number(request, "since", 0.0)
        log: deque[Query] = self.resolver.queries
        newer = takewhile(lambda query: query.number > since, reversed(log))
        fitting = (query for query in newer if asker is None or query.asker == asker)
        found = [asdict(query) for query in islice(fitting, int(limit))][::-1]
        return {"queries": found, "last": self.resolver.answered}

    async def set_link(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change link fields, in their units, from `source` to `target`; those that are not given stay."""
        return asdict(self._link(request).set_base(_link_fields(request)))

    async def start_faults(self, request: dict[str, Any]) -> dict[str, Any]:
        """Let `faults` (as in a topology) act at their times from `begin` on; they end with this connection."""
        given, begin = request.get("faults"), _number(request, "begin", time.time())
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise UserError("'faults' must be a list of faults")
        started = self.faults.start([read_one(one) for one in given], begin, connection.get())
        return {"started": [one.spec.name for one in started]}

    async def add_fault(self, request: dict[str, Any]) -> dict[str, Any]:
        """Apply `fault` now; answered once it acts. It ends with this connection, with `keep` when it is healed."""
        given = request.get("fault")
        if not isinstance(given, dict):
            raise UserError("'fault' must be a fault as in a topology")
        holder = None if request.get("keep") else connection.get()
        added = await self.faults.add(read_one(given), holder)
        return added.describe()

    async def list_faults(self, request: dict[str, Any]) -> dict[str, Any]:
        """Every fault that is not over."""
        return {"faults": self.faults.list_active(), "last": self.faults.last}

    async def heal_faults(self, request: dict[str, Any]) -> dict[str, Any]:
        """Heal the fault `name`, those of this connection (`mine`), or all; answered once none of them acts."""
        name = request.get("name")
        holder = connection.get() if request.get("mine") else None
        return {"healed": await self.faults.heal(name=None if name is None else str(name), holder=holder)}

    async def fault_events(self, request: dict[str, Any]) -> dict[str, Any]:
        """What faults have done after event number `since`; waits at most `wait` seconds for something."""
        since, wait = int(_number(request, "since", 0.0)), _number(request, "wait", 0.0)
        return {"events": await self.faults.wait_events(since, wait)}

    async def intercept_client(self, request: dict[str, Any]) -> dict[str, Any]:
        """Let a fault of links act on what a `client` (its full JID) and its `server` send; ends with this connection.

        `action` and `fields` are the fault's. It acts on connections to the address and port in the answer.
        """
        client, server, action = (_text(request, name) for name in ("client", "server", "action"))
        if server not in [one.spec.name for one in self.plan.servers]:
            raise UserError(f"there is no server {server!r}")
        effects = find_client_effects(action, request.get("fields", {}), client, server)
        address, port = await self.interceptions.intercept_client(client, server, effects, connection.get())
        return {"address": address, "port": port}

    async def release_clients(self, request: dict[str, Any]) -> dict[str, Any]:
        """End what `intercept_client` began on this connection; answered once no rule acts. Streams stay."""
        self.interceptions.release(connection.get())
        return {}

    async def interventions(self, request: dict[str, Any]) -> dict[str, Any]:
        """What rules have done to stanzas after number `since`; waits at most `wait` seconds for something."""
        since, wait = int(_number(request, "since", 0.0)), _number(request, "wait", 0.0)
        found = await self.interceptions.wait_interventions(since, wait)
        return {"interventions": [asdict(one) for one in found], "last": self.interceptions.last}

    async def send_stanza(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send `stanza` (XML) from `source` to `target`, on an intercepted stream that is open."""
        direction = _text(request, "source"), _text(request, "target")
        self.interceptions.send(direction, _text(request, "stanza"), str(request.get("attack", "")))
        return {}

    async def start_capture(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep what links carry from now on, to be searched; it ends with this connection."""
        self.capture.start(connection.get())
        return {}

    async def search_capture(self, request: dict[str, Any]) -> dict[str, Any]:
        """Which of `texts` links have carried since this connection watches."""
        texts = request.get("texts")
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise UserError("'texts' must be a list of texts")
        return {"links": await self.capture.search(connection.get(), texts)}

    def _link(self, request: dict[str, Any]) -> LinkImpairments:
        source, target = _text(request, "source"), _text(request, "target")
        found = self.links.get((source, target))
        if found is None:
            raise UserError(f"there is no relay from {source!r} to {target!r}: no link, or a direct one")
        return found

    async def spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start `server` again."""
        return {"pid": self.servers.spawn(_text(request, "server"))}

    async def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """End `server`: SIGTERM, SIGKILL after `grace` seconds or `at_once`; answered once it has ended."""
        grace, server = _number(request, "grace", STOP_PATIENCE), _text(request, "server")
        return {"exit_code": await self.servers.stop(server, grace, at_once=request.get("at_once") is True)}

    async def signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send `signal` ("SIGSTOP", "SIGCONT", ...) to `server`."""
        name = _text(request, "signal")
        if name not in signal.Signals.__members__:
            raise UserError(f"unknown signal {name!r}; names are as in SIGSTOP, SIGCONT, SIGKILL")
        self.servers.signal(_text(request, "server"), signal.Signals[name])
        return {}

    async def override(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer `name`, `type` with `rcode` and `records` to `asker` ("*": all); `rcode` null ends that."""
        key = (str(request.get("asker", ANYBODY)), _text(request, "name").rstrip(".").lower(), _text(request, "type"))
        overrides = self.resolver.overrides
        rcode = request.get("rcode")
        if rcode is None:
            overrides.pop(key, None)
            return {"overrides": len(overrides)}
        if rcode not in RCODES:
            raise UserError(f"rcode {rcode!r} is none of {', '.join(RCODES)}")
        records = request.get("records", [])
        try:
            overrides[key] = Answer(rcode, tuple(Record(str(kind), str(value)) for kind, value in records))
        except (TypeError, ValueError):
            raise UserError('records are pairs: [["SRV", "0 0 5269 127.91.1.0."]]') from None
        return {"overrides": len(overrides)}

    async def shutdown(self, request: dict[str, Any]) -> dict[str, Any]:
        """End the lab in order; the answer is sent before."""
        self.end()
        return {}


def find_client_effects(action: str, fields: Any, client: str, server: str) -> list[Interception]:
    """What a fault of links does to stanzas of a client, `to` its server and `from` it. Raises UserError."""
    declared = next((one for one in FAULTS.values() if one.name == action), None)
    if declared is None or declared.target is not FaultTarget.LINKS or not isinstance(fields, dict):
        raise UserError(f"{action}: is no fault of links that acts on stanzas")
    values = declared.read(fields)
    wanted = values.get("direction", "both")
    targets = [(client, server)] if wanted in ("both", "to") else []
    targets += [(server, client)] if wanted in ("both", "from") else []
    assert declared.effects is not None
    effects = [one for one in declared.effects(values, targets) if isinstance(one, Interception)]
    if not effects:
        raise UserError(f"{action}: acts on no stanzas of a client, or not on those that it sends: give a link")
    return effects


def _link_fields(request: dict[str, Any]) -> dict[str, Any]:
    return {field.name: field.accept(request[field.name]) for field in LINK_FIELDS if field.name in request}


def _text(request: dict[str, Any], field: str) -> str:
    value = request.get(field)
    if not isinstance(value, str) or not value:
        raise UserError(f"{field!r} is missing, or no text")
    return value


def _number(request: dict[str, Any], field: str, default: float, *, least: float = 0.0) -> float:
    value = request.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise UserError(f"{field!r} must be a number of at least {least:g}, not {value!r}")
    return float(value)

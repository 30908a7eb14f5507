"""The one service process of a lab: names, links, the control socket, and with `processes` the servers' parent.

    python -m lab.network.service LABFOLDER [--owner-fd N] [--reservation-fd N ...] [--ready-fd N]

It reads plan.json and everything else of the lab from its folder. While it runs it holds a lock on service.lock, and
service.json has its pid. It ends in order at SIGTERM, SIGINT or the control operation `shutdown` (exit 0), and however
it ends, the servers end with it.

--owner-fd        the reading end of a pipe. When its last writer has ended (SIGKILL included) the lab ends at once:
                  servers are killed, and with `processes` the lab's folder is deleted
--reservation-fd  an open file that reserves the lab's addresses: it is kept open
--ready-fd        gets one JSON line: {"ok": {"pid": N}} when all is up, or {"error": {"kind": ..., "message": ...}}

Start it with a session of its own, XMPPLAB_LAB=LABFOLDER in its environment and nothing but /dev/null to read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from lab import exit_codes
from lab.declarations.links import Conditions
from lab.declarations.manifest import StartedBy
from lab.errors import LabError, MissingError, UserError, encode_answer
from lab.network.capture import LinkCapture
from lab.network.control import ControlServer
from lab.network.dns import DnsServer, Resolver, Views
from lab.network.fault_engine import FaultEngine
from lab.network.fault_executor import ProcessControl, ServiceExecutor
from lab.network.impairments import LinkImpairments
from lab.network.interceptions import Interceptions
from lab.network.lab_folder import remove
from lab.network.link_shaper import LinkShaper
from lab.network.listener import Listener
from lab.network.operations import Operations
from lab.network.packet_losses import PacketLosses
from lab.network.relay import Relay
from lab.network.server_outages import ServerOutages
from lab.network.server_processes import ServerProcesses
from lab.network.target import Target
from lab.plan.files import load
from lab.plan.layout import DNS_CLIENT_PORT, UNREACHABLE_PORT, Layout
from lab.plan.model import Plan
from lab.plan.zones import Zones
from lab.system.files import write_private
from lab.system.locks import lock
from lab.system.packet_filter import PacketFilter
from lab.system.processes import Identity, check_limits, raise_limits
from lab.topology.spec import Unlinked

log = logging.getLogger(__name__)

LOCK_PATIENCE = 1.0  # seconds: who asks whether a service runs holds the lock for a moment
LOCK_POLL = 0.01  # seconds
DELETE_PATIENCE = 5.0  # seconds: a sweep that looks at the lab holds its lock for a moment


class Service:
    """The parts of one lab's service: name server, relays, servers (with `processes`), control socket."""

    def __init__(self, layout: Layout, plan: Plan) -> None:
        self.layout, self.plan = layout, plan
        self.stopping = asyncio.Event()
        zones = Zones(plan)
        self.resolver = Resolver(zones)
        self.dns = DnsServer(self.resolver, Views(plan, zones).of)
        self.shapers = {
            (relay.source, relay.target): LinkShaper(relay.conditions, f"{relay.source} {relay.target}")
            for relay in plan.relays
        }
        targets = {relay.to: Target(relay.to, self._has_address(relay.target)) for relay in plan.relays}
        self.relays = {
            (relay.source, relay.target): Relay(
                relay,
                plan.services,
                targets[relay.to],
                out=self.shapers[relay.source, relay.target],
                back=self.shapers.get((relay.target, relay.source), LinkShaper(Conditions())),
            )
            for relay in plan.relays
        }
        self.unreachable = Listener(plan.services, UNREACHABLE_PORT, asyncio.Protocol, "the port that never answers")
        self.servers = ServerProcesses(layout, plan.servers if plan.facts.runtime == "processes" else ())
        links = {direction: LinkImpairments(relay) for direction, relay in self.relays.items()}
        processes = plan.facts.runtime == "processes"
        outages = ServerOutages(ProcessControl(layout, plan, self.servers)) if processes else None
        interceptions = self.interceptions = Interceptions(layout, plan, self.relays)
        packet_filter = PacketFilter(f"xmpplab-{layout.name}-{os.getpid()}")
        self.losses = PacketLosses(packet_filter, plan.services, self.relays) if processes else None
        executor = ServiceExecutor(links, self.relays, interceptions, self.resolver, outages, self.losses)
        self.faults = FaultEngine(plan.topology, executor)
        self.capture = LinkCapture(self.relays)
        operations = Operations(
            layout,
            plan,
            self.servers,
            tuple(self.relays.values()),
            links,
            self.resolver,
            self.faults,
            interceptions,
            self.capture,
            end=self.stopping.set,
        )
        self.control = ControlServer(layout.control, operations.handlers(), self._release)

    async def _release(self, connection: object) -> None:
        """End what a control connection held."""
        self.capture.release(connection)
        self.interceptions.release(connection)
        await self.faults.heal(holder=connection)

    def _has_address(self, server: str) -> Callable[[], bool]:
        """Whether a server has its address: on loopback always, in a container of the lab's own from its start on."""
        elsewhere = self.plan.server(server).spec.manifest.started_by is not StartedBy.LAB
        if self.plan.facts.runtime == "processes" or elsewhere:
            return lambda: True
        return (self.layout.started / server).exists

    async def start(self) -> None:
        """Return once names and links work, the control socket answers and every server has been started.

        Raises MissingError, with address and port, if one cannot be bound.
        """
        check_limits(len(self.plan.servers), len(self.plan.relays))
        clients = {(self.plan.services, DNS_CLIENT_PORT)} if self.plan.facts.runtime == "processes" else set()
        for address, port in sorted({server.dns for server in self.plan.servers} | clients):
            await self.dns.listen(address, port)
        for relay in self.relays.values():
            await relay.listen()
        if self.plan.topology.unlinked is Unlinked.UNREACHABLE:
            self.unreachable.ignore()
        await self.control.listen()
        await self.servers.spawn_all()

    async def end(self, *, at_once: bool = False) -> None:
        """End the servers, in order or at once, then all other parts; returns once all have ended."""
        await self.servers.end(at_once=at_once)
        if self.losses is not None:
            await self.losses.close()
        for relay in self.relays.values():
            relay.close()
        self.interceptions.close()
        self.unreachable.close()
        self.dns.close()
        await self.control.close()


async def serve(layout: Layout, owner: int | None, ready_pipe: ReadyPipe) -> None:
    """Run a lab's service until it has to end. Raises UserError, MissingError if it cannot start."""
    held = await _locked(layout)
    try:
        service = Service(layout, load(layout.plan.read_text()))
        write_private(layout.service, json.dumps(Identity.own().to_json()))
        owner_ended = _watch(service, owner)
        try:
            await service.start()
            gc.freeze()  # what exists now stays: the garbage collector need not examine it again
            ready_pipe.write({"ok": {"pid": os.getpid()}})
            await service.stopping.wait()
        finally:
            await service.end(at_once=owner_ended.is_set())
            layout.service.unlink(missing_ok=True)
        if owner_ended.is_set() and service.plan.facts.runtime == "processes":
            await _delete(layout)
    finally:
        os.close(held)


def _watch(service: Service, owner: int | None) -> asyncio.Event:
    """Stop the service at signals and at the owner's end; the event is set at the owner's end."""
    loop = asyncio.get_running_loop()
    owner_ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)

    def readable() -> None:
        assert owner is not None
        if not os.read(owner, 4096):
            loop.remove_reader(owner)
            log.info("the owner has ended: the lab ends")
            owner_ended.set()
            service.stopping.set()

    if owner is not None:
        os.set_inheritable(owner, False)
        loop.add_reader(owner, readable)
    return owner_ended


async def _locked(layout: Layout) -> int:
    """The service's lock. Raises UserError if another service of this lab runs."""
    try:
        return await lock(layout.service_lock, patience=LOCK_PATIENCE, poll=LOCK_POLL)
    except TimeoutError:
        raise UserError(f"a service of the lab {layout.name} runs already: end it first") from None
    except OSError as error:
        raise UserError(f"{layout.root} is no lab's folder that can be written to: {error.strerror}") from error


async def _delete(layout: Layout) -> None:
    """Delete the lab's folder, unless it is no lab's, or the process that holds its lock is deleting it already."""
    try:
        held = await lock(layout.lock, patience=DELETE_PATIENCE, poll=LOCK_POLL)
    except FileNotFoundError:  # another process has deleted it
        return
    except TimeoutError:
        log.error("%s is locked by another process: not deleted", layout.root)  # noqa: TRY400 - the text says it all
        return
    try:
        remove(layout)
    except UserError as error:
        log.error("not deleted: %s", error)  # noqa: TRY400 - the text says it all
    finally:
        os.close(held)


class ReadyPipe:
    """The process that started the service and waits at a pipe for one line: ready, or why not."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def write(self, message: dict[str, object]) -> None:
        """Write the line and close the pipe; does nothing the second time."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(message) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 after an orderly end, 64, 69 or 70 as the command's own exit codes."""
    options = _options(arguments)
    layout = Layout(options.folder.absolute())
    os.umask(0o077)
    if layout.root.is_dir():
        logging.basicConfig(filename=layout.service_log, level=logging.INFO, format="%(asctime)s %(message)s")
    raise_limits()
    for descriptor in (*options.reservation_fd, *([options.ready_fd] if options.ready_fd is not None else [])):
        os.set_inheritable(descriptor, False)  # the servers must not inherit them
    ready_pipe = ReadyPipe(options.ready_fd)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(layout, options.owner_fd, ready_pipe))
    except Exception as error:  # the edge of the process
        if not isinstance(error, LabError):
            log.exception("the service failed")
        return _failed(ready_pipe, error)
    return exit_codes.VALID


def _failed(ready_pipe: ReadyPipe, error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        error = MissingError(f"{error}: raise the limit of open files (ulimit -n), or use fewer servers")
    answer = encode_answer(error)
    log.error(answer["message"])
    sys.stderr.write(answer["message"] + "\n")
    ready_pipe.write({"error": answer})
    return exit_codes.get_exit_code(error)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.network.service", description="The service of one lab.")
    parser.add_argument("folder", type=Path, help="the lab's folder")
    parser.add_argument("--owner-fd", type=int, help="pipe: at its end the lab ends and its folder is deleted")
    parser.add_argument(
        "--reservation-fd", type=int, action="append", default=[], help="open file that reserves addresses"
    )
    parser.add_argument(
        "--ready-fd", type=int, help="pipe: receives one JSON line when all has started, or with the reason why not"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

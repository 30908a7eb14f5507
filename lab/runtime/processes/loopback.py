"""Addresses for labs of plain processes: each takes one 127.S.0.0/16 of the loopback network for itself.

A network is reserved by a TCP socket bound (never listening) to its services' address: the kernel lets no other
process bind it, of any user, and releases it when the last descriptor is closed. The service inherits the descriptor,
so the reservation ends with the lab, SIGKILL included; there is nothing to sweep.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import astuple

from lab.declarations.servers import MANIFESTS
from lab.errors import MissingError, PeerError
from lab.plan.build import AGENTS, SERVERS, SERVICES, compute_address
from lab.runtime.protocol import explain_taken_network

FIRST, LAST = 80, 119  # second octet of the networks: 127.0 and 127.53 (a resolver's) are in use elsewhere
_PORTS = tuple(sorted({port for manifest in MANIFESTS.values() for port in astuple(manifest.ports)}))
_WILDCARD_PROBE = "127.255.255.254"  # only a program that listens on every address listens here
RESERVATION_PORT = 5399  # on the services' address (below the ports of its DNS), and on an agent's own


def reserve_network(servers: int = 1, wanted: str | None = None) -> tuple[str, socket.socket]:
    """A network such as "127.80.0.0/16" in which the ports of so many servers are free, and the socket that holds it.

    With `wanted` that one. Raises MissingError.
    """
    _check_loopback()
    _check_ports()
    for network in list_networks():
        if wanted not in (None, network):
            continue
        holder = reserve(network)
        if holder is None:
            continue
        if _free(network, servers):
            return network, holder
        holder.close()  # a program that is no lab listens there
    if wanted is not None:
        raise explain_taken_network(wanted)
    raise MissingError(
        f"all {LAST - FIRST + 1} address ranges for labs (127.{FIRST} to 127.{LAST}) are in use: "
        "end labs that are not needed (xmpplab status, xmpplab down)"
    )


def reserve_agent(network: str) -> tuple[str, socket.socket]:
    """An address of a lab's network for an agent, and the socket that holds it. Raises PeerError if there is none."""
    for count in range(AGENTS, ipaddress.ip_network(network).num_addresses - 1):
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind((address := compute_address(network, count), RESERVATION_PORT))
        except OSError as error:
            holder.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return address, holder
    raise PeerError(f"all addresses for people in {network} are in use: use fewer people, or `placement: together`")


def list_networks() -> Iterator[str]:
    """Every network that a lab may have."""
    for second in range(FIRST, LAST + 1):
        yield f"127.{second}.0.0/16"


def reserve(network: str) -> socket.socket | None:
    """The socket that reserves this network; None if another lab, of any user, has it. Raises MissingError."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        holder.bind((compute_address(network, SERVICES), RESERVATION_PORT))
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        if error.errno in (errno.EADDRNOTAVAIL, errno.EPERM, errno.EACCES):
            raise MissingError(
                f"addresses such as {compute_address(network, SERVICES)} cannot be used on this machine "
                f"({error.strerror}): use --runtime containers"
            ) from error
        raise
    return holder


def _free(network: str, servers: int) -> bool:
    """True if no program listens at a port of one of the servers."""
    addresses = [compute_address(network, SERVERS + index) for index in range(servers)]
    return all(_listening(address, port) is None for address in addresses for port in _PORTS)


def _check_loopback() -> None:
    """An address can be bound although the loopback network is down. Raises MissingError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # which sends nothing to connect
        try:
            probe.connect((_WILDCARD_PROBE, 9))
        except OSError as error:
            if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL):
                raise
            raise MissingError(
                f"the loopback network of this machine is down ({error.strerror}): `ip link set lo up`, as root, "
                "brings it up"
            ) from error


def _check_ports() -> None:
    """A program that listens on a server's port of *every* address takes it from all labs. Raises MissingError."""
    for port in _PORTS:
        if error := _listening(_WILDCARD_PROBE, port):
            raise MissingError(
                f"port {port} is in use on every address of this machine ({error.strerror}): end the XMPP server "
                "that listens there, configure it to listen on one address only, or use --runtime containers"
            )


def _listening(address: str, port: int) -> OSError | None:
    """Why a server could not listen there; None if it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier lab may linger
        try:
            probe.bind((address, port))
        except OSError as error:
            return error
    return None

"""Reservations of loopback networks: exclusive, and as long-lived as their socket."""

import contextlib
import errno
import os
import socket
import subprocess
import sys

import pytest

from lab.declarations.manifest import PORTS
from lab.errors import MissingError, PeerError
from lab.plan.build import AGENTS, SERVERS, compute_address
from lab.runtime.processes import loopback
from lab.runtime.processes.loopback import reserve_agent, reserve_network
from tests.network import labs
from tests.runtime.helpers import is_reserved


def test_two_reservations_differ_and_end_with_their_sockets() -> None:
    first, holder = reserve_network()
    second, other = reserve_network()
    assert first != second
    assert is_reserved(first)
    holder.close()
    other.close()
    assert not is_reserved(first)


def test_each_agent_has_an_address_of_its_own_until_its_socket_is_closed() -> None:
    network, holder = reserve_network()
    with holder:
        first, one = reserve_agent(network)
        second, two = reserve_agent(network)
        assert first == compute_address(network, AGENTS) and second == compute_address(network, AGENTS + 1)
        one.close()
        again, one = reserve_agent(network)
        assert again == first
        one.close()
        two.close()


def test_a_network_has_only_so_many_addresses_for_agents() -> None:
    network, holder = reserve_network()
    few = f"{network.partition('/')[0]}/20"  # as a lab of containers has
    with holder, contextlib.ExitStack() as agents, pytest.raises(PeerError, match="use fewer people"):
        for _ in range(AGENTS):
            agents.enter_context(reserve_agent(few)[1])


def test_a_child_keeps_the_reservation_until_it_ends() -> None:
    network, holder = reserve_network()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[holder.fileno()])
    holder.close()
    assert is_reserved(network)
    child.kill()
    child.communicate()
    assert not is_reserved(network)


def test_the_descriptor_is_not_inherited_by_accident() -> None:
    _, holder = reserve_network()
    with holder:
        assert not os.get_inheritable(holder.fileno())


def test_a_network_where_a_stranger_listens_is_passed_over() -> None:
    held, holder = reserve_network(servers=3)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier lab may linger
        stranger.bind((compute_address(held, SERVERS + 2), PORTS.server))
        stranger.listen()
        holder.close()
        taken, holder = reserve_network(servers=3)
        holder.close()
        assert taken != held
        # None of its servers would be at that address; other tests may have taken the network meanwhile.
        same, holder = reserve_network(servers=2)
        holder.close()
        assert same == held or is_reserved(held)


def test_a_stranger_at_every_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{labs.loopback()}.0.9"
    monkeypatch.setattr(loopback, "_WILDCARD_PROBE", address)  # a real one would be in the way of every lab here
    with socket.socket() as stranger:
        stranger.bind((address, PORTS.server))
        stranger.listen()
        with pytest.raises(MissingError, match=f"port {PORTS.server} is in use on every address"):
            reserve_network()


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL])
def test_a_loopback_network_that_is_down_is_said(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses can be bound all the same, and nothing would ever answer there."""

    class Down(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", Down)
    with pytest.raises(MissingError, match=r"the loopback network of this machine is down .*`ip link set lo up`"):
        reserve_network()

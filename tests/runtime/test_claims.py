"""Claims on loopback networks: exclusive, and as long-lived as their socket."""

import os
import subprocess
import sys

from lab.runtime.claims import claim_network, is_held


def test_two_claims_differ_and_end_with_their_sockets() -> None:
    first, holder = claim_network()
    second, other = claim_network()
    assert first != second
    assert is_held(first)
    holder.close()
    other.close()
    assert not is_held(first)


def test_a_child_keeps_the_claim_until_it_ends() -> None:
    network, holder = claim_network()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[holder.fileno()])
    holder.close()
    assert is_held(network)
    child.kill()
    child.communicate()
    assert not is_held(network)


def test_the_descriptor_is_not_inherited_by_accident() -> None:
    _, holder = claim_network()
    with holder:
        assert not os.get_inheritable(holder.fileno())

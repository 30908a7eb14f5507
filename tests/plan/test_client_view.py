"""What clients see of a lab: the file that is written for them, and the words by which they name servers and people."""

from __future__ import annotations

import pytest

from lab.errors import UserError
from lab.plan.build import build
from lab.plan.client_view import ClientView, build_client_view
from lab.plan.layout import DNS_CLIENT_PORT
from lab.plan.model import RuntimeFacts
from lab.topology.files import load


def view(topology: str = "pair", runtime: str = "processes") -> ClientView:
    facts = RuntimeFacts(runtime, "127.91.0.0/16", "/labs/{server}")
    return build_client_view("mine", build(load(topology), facts))


def test_it_is_the_same_after_writing_and_reading() -> None:
    assert ClientView.load(view().dump()) == view()


def test_a_server_is_named_by_its_name_or_its_domain() -> None:
    one = view().servers[0]
    for word in (one.name, one.domain, one.domain.upper(), f"{one.domain}."):
        assert view().find_server(word) is one or view().find_server(word) == one
    with pytest.raises(UserError, match=r"no server 'elsewhere' in the lab mine; there are a \(a.test\), b \(b.test\)"):
        view().find_server("elsewhere")


@pytest.mark.parametrize("word", ["alice", "@a", "alice@", "alice@a/phone", ""])
def test_what_is_no_person_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="is no person: write alice@SERVER"):
        view().split_person(word)


def test_the_name_server_is_that_of_clients() -> None:
    assert view().dns == ("127.91.0.2", DNS_CLIENT_PORT)
    assert view(runtime="containers").dns == ("127.91.0.2", 53)


def test_a_server_that_the_lab_does_not_start_has_no_ports() -> None:
    scripted = next(one for one in view("scripted-peer").servers if not one.accounts)
    assert scripted.ports == () and scripted.client_port is None
    ours = view().servers[0]
    assert ours.ports == (5222, 5223, 5269, 5281)
    assert (ours.muc, ours.upload) == ("conference.a.test", "upload.a.test")

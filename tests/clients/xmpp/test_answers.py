"""Whose answers a device takes for a request without `to`, which means its own account."""

from __future__ import annotations

import ssl
from xml.etree import ElementTree as ET

import pytest
from slixmpp import Iq

from lab.clients.xmpp.client_stream import ClientStream

OWN = "a@x.test/1"


@pytest.mark.parametrize(
    ("sender", "kind", "read_as"),
    [
        (OWN, "error", ""),
        (OWN, "result", ""),
        (OWN, "get", OWN),
        ("a@x.test", "result", "a@x.test"),
        ("a@x.test/2", "error", "a@x.test/2"),
        ("mallory@y.test/1", "result", "mallory@y.test/1"),
        ("", "result", ""),
    ],
)
async def test_an_answer_from_ones_own_full_address_is_the_accounts(sender: str, kind: str, read_as: str) -> None:
    stream = ClientStream(OWN, "", ssl.create_default_context(), pytest.fail)
    xml = ET.Element("{jabber:client}iq", {"type": kind, "id": "1", **({"from": sender} if sender else {})})
    assert str(stream._read_answer(Iq(stream, xml=xml))["from"]) == read_as

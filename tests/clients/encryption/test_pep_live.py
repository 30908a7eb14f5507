"""Items published on real servers by several people at once."""

import asyncio
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import pep
from lab.clients.xmpp.client_stream import ClientStream, make_tls_context

pytestmark = pytest.mark.live

PEOPLE, ROUNDS = 8, 5


@pytest.mark.parametrize("server", ["a", "c"])
async def test_everybody_may_make_a_node_at_the_same_moment(running_lab, server):
    streams = []
    for jid in await running_lab.accounts(*[server] * PEOPLE):
        login = running_lab.login(jid)
        stream = ClientStream(f"{jid}/x", login["password"], make_tls_context(login["authority"]), pytest.fail)
        await stream.open(login["host"], login["port"])
        streams.append(stream)
    try:
        for number in range(ROUNDS):
            node = f"urn:xmpplab:test:{number}"
            await asyncio.gather(*(pep.publish(one, node, ET.Element("{urn:xmpplab:test}x")) for one in streams))
            for stream in streams:
                found = await pep.fetch(streams[0], stream.boundjid.bare, node)
                assert found is not None
                assert found.tag == "{urn:xmpplab:test}x"
    finally:
        await asyncio.gather(*(stream.shut() for stream in streams))

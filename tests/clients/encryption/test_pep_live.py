"""Items published on real servers by several people at once."""

import asyncio
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import pep
from lab.clients.xmpp.client_stream import ClientStream, make_tls_context

pytestmark = pytest.mark.live

PEOPLE, ROUNDS = 8, 5


async def publish_one(stream, node):
    await pep.publish(stream, node, ET.Element("{urn:xmpplab:test}x"))


async def publish_one_of_many(stream, node):
    await pep.make_node_of_many(stream, node)
    await pep.publish(stream, node, ET.Element("{urn:xmpplab:test}x"), item="1")


@pytest.mark.parametrize("publish", [publish_one, publish_one_of_many])
@pytest.mark.parametrize("server", ["a", "c"])
async def test_everybody_may_make_a_node_at_the_same_moment(running_lab, server, publish):
    streams = []
    for jid in await running_lab.accounts(*[server] * PEOPLE):
        login = running_lab.login(jid)
        stream = ClientStream(f"{jid}/x", login["password"], make_tls_context(login["authority"]), pytest.fail)
        await stream.open(login["host"], login["port"])
        streams.append(stream)
    try:
        for number in range(ROUNDS):
            node = f"urn:xmpplab:test:{publish.__name__}:{number}"
            await asyncio.gather(*(publish(one, node) for one in streams))
            for stream in streams:
                found = await pep.fetch(streams[0], stream.boundjid.bare, node)
                assert found is not None
                assert found.tag == "{urn:xmpplab:test}x"
    finally:
        await asyncio.gather(*(stream.shut() for stream in streams))

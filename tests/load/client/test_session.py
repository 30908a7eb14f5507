"""A user who logs out leaves nothing behind on the server."""

from __future__ import annotations

from random import Random
from unittest.mock import Mock

from lab.load.client.session import Session, SessionContext
from lab.load.client.stream_management import MODULO, StreamManagement
from lab.load.model.spec import Endpoint, Load


def session() -> tuple[Session, Mock]:
    """One that is online, and its connection."""
    home = Endpoint("a", "a.test", "127.0.0.1")
    load = Load((home,), users=1, password="x", authority="", security="none")
    one = Session(SessionContext(load, Mock(), Mock(), Mock(), Mock(), Random(1)), 0, "load1", home)
    one._connection = connection = Mock()
    return one, connection


def test_the_server_is_told_what_has_come_before_the_stream_ends() -> None:
    one, connection = session()
    one._management = StreamManagement("resume-me")
    one._management.handled = MODULO + 3
    assert one.disconnect() is connection
    assert [call.args[0] for call in connection.write.call_args_list] == [
        b"<a xmlns='urn:xmpp:sm:3' h='3'/>",
        b"</stream:stream>",
    ]


def test_without_management_there_is_nothing_to_tell() -> None:
    one, connection = session()
    one.disconnect()
    connection.write.assert_called_once_with(b"</stream:stream>")

"""Who was available when, and whom a message to a bare JID is for (RFC 6121 section 8.5)."""

from lab.history.events import Connected, Disconnected, PresenceSent
from lab.metrics.availability import Availability


def connected(device):
    return Connected(at=1.0, device=device, stream="s")


def presence(device, priority=0, available=True):
    return PresenceSent(at=1.0, device=device, stream="s", available=available, priority=priority)


def test_devices_that_become_available_later_are_in_order_and_named_once():
    events = [
        connected("bob@b/phone"),
        presence("bob@b/phone", available=False),
        connected("bob@b/laptop"),
        presence("bob@b/phone"),
        presence("bob@b/phone", 3),
        connected("carol@b/phone"),
    ]
    assert Availability(events).available_later("bob@b", 1) == ("bob@b/laptop", "bob@b/phone")
    assert Availability(events).available_later("bob@b", 5) == ()


def test_a_negative_priority_takes_nothing_of_the_bare_jid():
    events = [connected("bob@b/phone"), presence("bob@b/phone", -1), connected("bob@b/laptop")]
    availability = Availability(events)
    assert availability.takes_none("bob@b/phone", 1)
    assert not availability.takes_none("bob@b/phone", 0), "it had priority 0 when the message was sent"
    assert not availability.takes_none("bob@b/laptop", 2)
    assert availability.available_later("bob@b", 0) == ("bob@b/laptop",)


def test_a_device_that_has_gone_or_is_unavailable_takes_nothing():
    events = [
        connected("bob@b/phone"),
        presence("bob@b/phone", available=False),
        Disconnected(at=1.0, device="bob@b/phone", stream="s"),
    ]
    assert Availability(events).takes_none("bob@b/phone", 1)
    assert not Availability([*events, connected("bob@b/phone")]).takes_none("bob@b/phone", 1)
    assert not Availability(events).takes_none("bob@b/unknown", 1), "nothing is known of it"


def test_a_change_is_a_presence_of_a_connected_device():
    events = [connected("bob@b/phone"), presence("bob@b/phone", 1), connected("bob@b/laptop")]
    availability = Availability(events)
    assert availability.changed("bob@b", 0)
    assert not availability.changed("bob@b", 1)
    assert not availability.changed("carol@b", 0)

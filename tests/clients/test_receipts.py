"""Which messages are acknowledged, and by what."""

from xml.etree import ElementTree as ET

from lab.clients.receipts import build_receipt, has_text, read_receipt


def message(inside: str, attributes: str = "from='alice@a.test/1' id='m1' type='chat'") -> ET.Element:
    return ET.fromstring(f"<message xmlns='jabber:client' {attributes}>{inside}</message>")


REQUEST = "<request xmlns='urn:xmpp:receipts'/>"


def test_a_request_is_answered_with_the_id_of_the_message() -> None:
    answer = build_receipt(message(f"<body>hi</body>{REQUEST}"), "r1")
    assert answer is not None
    assert (answer.get("to"), answer.get("id"), answer.get("type")) == ("alice@a.test/1", "r1", "chat")
    answer.set("from", "bob@b.test/1")
    assert read_receipt(answer) == "m1"


def test_nothing_else_is() -> None:
    copy = f"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{REQUEST}</forwarded></sent>"
    for one in (
        message("<body>no request</body>"),
        message(copy),
        message(f"<body>hi</body>{REQUEST}", "from='alice@a.test/1' type='chat'"),
        message(f"<body>hi</body>{REQUEST}", "from='room@c.test/alice' id='m1' type='groupchat'"),
        message(f"<body>hi</body>{REQUEST}", "from='b.test' id='m1' type='error'"),
    ):
        assert build_receipt(one, "r1") is None
        assert read_receipt(one) is None
    assert read_receipt(message("<received xmlns='urn:xmpp:receipts' id='m1'/>", "type='error'")) is None


def test_a_text_is_one_in_the_clear_or_encrypted_and_keys_alone_are_none() -> None:
    encrypted = "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/>%s</encrypted>"
    assert has_text(message(f"<body>hi</body>{REQUEST}"))
    assert has_text(message(f"{encrypted % '<payload>AA==</payload>'}{REQUEST}"))
    for one in (REQUEST, f"{encrypted % ''}{REQUEST}"):
        assert not has_text(message(one))

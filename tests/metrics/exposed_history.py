"""A history made by hand in which the servers learn one of each fact: alice on island and bob on home."""

from lab.history.events import ServerSaw, ServerStreamOpened
from tests.checks.sample_history import OMEMO, SampleHistory

ALICE, BOB, ROOM = "alice@island.test", "bob@home.test", "square@conference.island.test"
INSIDE = {
    "receipts": "<received xmlns='urn:xmpp:receipts' id='m1'/>",
    "typing": "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "uploads": "<request xmlns='urn:xmpp:http:upload:0' filename='cat.jpg' size='1000'/>",
}


def stanza(told, server, name, sender, receiver, inside="", **values):
    told.add(
        ServerSaw,
        **{
            "server": server, "direction": "in", "stream": "s2s", "name": name, "type": None, "id": None,
            "sender": sender, "receiver": receiver, "size": 300, "encryption": None, "body": False,
            "stanza": f"<{name} from='{sender}'>{inside}</{name}>", "peer": "", **values,
        },
    )  # fmt: skip
    return len(told.events)


def stream(told, server, jid, address, **values):
    told.add(
        ServerStreamOpened,
        **{
            "server": server, "stream": "c2s", "direction": "in", "peer": jid, "id": "1", "tls": "TLSv1.3",
            "authentication": "SCRAM-SHA-1", "address": address, **values,
        },
    )  # fmt: skip
    return len(told.events)


def exposed(the_plan=None):
    """The history, and by fact the number of the event that alone proves it at island."""
    told = SampleHistory(the_plan)
    told.device("alice", "island", encryption="omemo")
    told.device("bob", "home", encryption="omemo")
    proof = {}
    proof["contacts"] = stanza(told, "island", "message", f"{ALICE}/phone", BOB, id="m1", body=True, type="chat")
    key = f"<encrypted xmlns='{OMEMO}'><header sid='77'><key rid='88'>AA==</key></header></encrypted>"
    proof["device_ids"] = stanza(told, "island", "message", f"{BOB}/phone", ALICE, key, id="m2", type="headline")
    proof["presence"] = stanza(told, "island", "presence", f"{ALICE}/phone", None)
    proof["receipts"] = stanza(told, "island", "message", f"{BOB}/phone", ALICE, INSIDE["receipts"], id="r1")
    proof["typing"] = stanza(told, "island", "message", f"{ALICE}/phone", BOB, INSIDE["typing"], id="t1")
    proof["rooms"] = stanza(told, "island", "presence", f"{ROOM}/bob", f"{ALICE}/phone")
    proof["uploads"] = stanza(told, "island", "iq", f"{ALICE}/phone", "upload.island.test", INSIDE["uploads"],
                              id="u1", type="get")  # fmt: skip
    proof["addresses"] = stream(told, "island", f"{ALICE}/phone", "127.0.0.1")
    stanza(told, "home", "iq", "home.test", f"{BOB}/phone", id="ping", type="result")
    return told, proof

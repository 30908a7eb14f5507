"""Posts that people publish over PEP: XEP-0277, the node of XEP-0472's feeds as well. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

MICROBLOG = "urn:xmpp:microblog:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
ATOM = "http://www.w3.org/2005/Atom"
OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"

#: Access models of PEP (XEP-0060 section 4.5) that need no list of people.
ACCESS = ("presence", "open", "roster", "whitelist")


@dataclass(frozen=True)
class Post:
    """A post of a person (XEP-0277 section 2)."""

    id: str  # of the item
    author: str  # bare JID
    text: str


def publication(post: Post, access: str, at: float) -> str:
    """The IQ's payload that publishes a post at a time, in seconds since the epoch, with this access model.

    Where the node has another access model, the server refuses with precondition-not-met (XEP-0060 section 7.1.5).
    """
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = (
        f"<entry xmlns='{ATOM}'><title type='text'>{escape(post.text)}</title>"
        f"<id>xmpp:{escape(post.author)}?;node={MICROBLOG};item={escape(post.id)}</id>"
        f"<published>{when}</published><updated>{when}</updated>"
        f"<author><uri>xmpp:{escape(post.author)}</uri></author></entry>"
    )
    options = "".join(
        f"<field var={quoteattr(name)}><value>{escape(value)}</value></field>"
        for name, value in (
            ("FORM_TYPE", OPTIONS),
            ("pubsub#persist_items", "true"),
            ("pubsub#max_items", "max"),  # PEP keeps the last one only unless told otherwise
            ("pubsub#access_model", access),
            ("pubsub#presence_based_delivery", "false"),  # else ejabberd notifies no follower of another server
        )
    )
    return (
        f"<pubsub xmlns='{PUBSUB}'><publish node='{MICROBLOG}'><item id={quoteattr(post.id)}>{entry}</item></publish>"
        f"<publish-options><x xmlns='jabber:x:data' type='submit'>{options}</x></publish-options></pubsub>"
    )


def subscription(action: str, person: str) -> str:
    """The IQ's payload by which a person (a bare JID) begins ("subscribe") or ends ("unsubscribe") to follow."""
    return f"<pubsub xmlns='{PUBSUB}'><{action} node='{MICROBLOG}' jid={quoteattr(person)}/></pubsub>"


def request() -> str:
    """The IQ's payload that asks for all posts."""
    return f"<pubsub xmlns='{PUBSUB}'><items node='{MICROBLOG}'/></pubsub>"


def read_posts(answer: ET.Element, author: str) -> list[Post]:
    """The posts in the answer to `request`, in the server's order."""
    items = answer.iterfind(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items/{{{PUBSUB}}}item")
    return [Post(one.get("id", ""), author, one.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}title") or "") for one in items]

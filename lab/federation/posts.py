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

CONFIGURATION = "http://jabber.org/protocol/pubsub#node_config"

#: Posts that a server keeps of a person; Prosody takes at most 256.
KEPT = 200

#: Access models of PEP (XEP-0060 section 4.5) that need no list of people.
ACCESS = ("presence", "open", "roster", "whitelist")


@dataclass(frozen=True)
class Post:
    """A post of a person (XEP-0277 section 2)."""

    id: str  # of the item
    author: str  # bare JID
    text: str


def build_node(access: str) -> str:
    """The IQ's payload that makes the node of a person's posts, with this access model (XEP-0060 section 8.1.3)."""
    return (
        f"<pubsub xmlns='{PUBSUB}'><create node='{MICROBLOG}'/><configure>"
        + _build_form(
            ("FORM_TYPE", CONFIGURATION),
            ("pubsub#persist_items", "true"),
            ("pubsub#max_items", str(KEPT)),  # PEP keeps the last one only unless told otherwise
            ("pubsub#access_model", access),
            ("pubsub#presence_based_delivery", "false"),  # else ejabberd notifies no follower of another server
        )
        + "</configure></pubsub>"
    )


def build_publication(post: Post, access: str, at: float) -> str:
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
    options = _build_form(("FORM_TYPE", OPTIONS), ("pubsub#access_model", access))
    return (
        f"<pubsub xmlns='{PUBSUB}'><publish node='{MICROBLOG}'><item id={quoteattr(post.id)}>{entry}</item></publish>"
        f"<publish-options>{options}</publish-options></pubsub>"
    )


def _build_form(*values: tuple[str, str]) -> str:
    fields = "".join(f"<field var={quoteattr(name)}><value>{escape(value)}</value></field>" for name, value in values)
    return f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"


def build_subscription(action: str, person: str) -> str:
    """The IQ's payload by which a person (a bare JID) begins ("subscribe") or ends ("unsubscribe") to follow."""
    return f"<pubsub xmlns='{PUBSUB}'><{action} node='{MICROBLOG}' jid={quoteattr(person)}/></pubsub>"


def build_request() -> str:
    """The IQ's payload that asks for all posts."""
    return f"<pubsub xmlns='{PUBSUB}'><items node='{MICROBLOG}'/></pubsub>"


def read_posts(answer: ET.Element, author: str) -> list[Post]:
    """The posts in the answer to `build_request`, in the server's order."""
    items = answer.iterfind(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items/{{{PUBSUB}}}item")
    return [Post(one.get("id", ""), author, one.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}title") or "") for one in items]

"""Features that a topology can add to a server, or take from it: `features: [+websocket, -mam]`.

Which software has which, in which version, is declared in its manifest (lab/declarations/servers).
"""

from __future__ import annotations

from dataclasses import dataclass

#: Where clients find the feature `websocket`, on a server's HTTPS port.
WEBSOCKET_PATH = "/xmpp-websocket"


@dataclass(frozen=True)
class Feature:
    """A part of a server that can be on or off."""

    name: str  # as in a topology, behind + or -
    about: str  # what is there with it, for documentation
    subdomain: str = ""  # host name below the server's domain that it answers for


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("anonymous", "logins without an account (SASL ANONYMOUS, XEP-0175)"),
        Feature("bidi", "streams between servers carry stanzas in both directions (XEP-0288), where both offer it"),
        Feature("component", "a port for components (XEP-0114), for the host component.<domain>", "component"),
        Feature("encrypted-messages", "messages that are encrypted end to end are passed on, not dropped"),
        Feature("mam", "archives of people and rooms (XEP-0313)"),
        Feature("moderation", "messages in rooms can be retracted by moderators (XEP-0425)"),
        Feature("open-pep", "what people publish can be opened to strangers (XEP-0060 section 4.5)"),
        Feature("pep", "people publish: OMEMO keys, posts, bookmarks (PEP, XEP-0163)"),
        Feature("pubsub", "a publish-subscribe service (XEP-0060) at pubsub.<domain>", "pubsub"),
        Feature(
            "websocket",
            "clients over WebSocket (RFC 7395), at wss://<domain>:5281/xmpp-websocket, and host-meta (XEP-0156)",
        ),
    )
}


@dataclass(frozen=True)
class Support:
    """What a software has of a feature."""

    usual: bool = False  # whether it is on where the topology says nothing
    fixed: str = ""  # why it cannot be changed, "" if it can
    subdomain: str = ""  # host name below the domain instead of the feature's own

"""Rules for stanzas (lab/declarations/stanza_rules.py) on stanzas. Pure: what becomes of each is returned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.parsers import expat

from lab.declarations.stanza_rules import StanzaRule
from lab.network.stanza_stream import RelayedStanza

Direction = tuple[str, str]  # source and target: names of servers, or a client's full JID and its server's name


@dataclass
class CountedRule:
    """A rule, the fault that it is of, and how many stanzas have fitted it."""

    rule: StanzaRule
    attack: str
    fitting: int = 0

    def acts_on(self, stanza: RelayedStanza, direction: Direction) -> bool:
        """Whether it acts on this stanza, which counts if it fits."""
        if not _fits(self.rule, stanza, direction):
            return False
        self.fitting += 1
        return self.fitting % self.rule.nth == 0


@dataclass
class StanzaDecision:
    """What becomes of a stanza."""

    stanza: RelayedStanza  # as it is sent on
    copies: int = 1  # how often
    delay: float = 0.0  # seconds after which it is sent on
    hold: bool = False  # the next one that is held, of the same people, goes before it
    acted: list[CountedRule] = field(default_factory=list)


def find_ends(direction: Direction, stanza: RelayedStanza) -> tuple[str, str]:
    """Sender and receiver of a stanza that goes this way, "" where it does not say.

    A client's stream may leave out the client or its account (RFC 6120 section 8.1).
    """
    sender, receiver = stanza.attribute("from"), stanza.attribute("to")
    source, target = direction
    if "/" in source:
        return sender or source, receiver or source.partition("/")[0]
    if "/" in target:
        return sender or target.partition("/")[0], receiver or target
    return sender, receiver


def find_people(direction: Direction, stanza: RelayedStanza) -> tuple[str, str]:
    """The bare JIDs of sender and receiver."""
    sender, receiver = find_ends(direction, stanza)
    return sender.partition("/")[0], receiver.partition("/")[0]


def decide(rules: Iterable[CountedRule], stanza: RelayedStanza, direction: Direction = ("", "")) -> StanzaDecision:
    """What rules, one after the other, make of a stanza that goes this way. What drops it is the last."""
    decision = StanzaDecision(stanza)
    for one in rules:
        if not one.acts_on(decision.stanza, direction):
            continue
        decision.acted.append(one)
        rule = one.rule
        if rule.action == "drop":
            decision.copies = 0
            break
        if rule.action == "delay":
            decision.delay += rule.after
        elif rule.action == "repeat":
            decision.copies += rule.times
        elif rule.action == "reorder":
            decision.hold = True
        elif rule.action != "read":
            decision.stanza = _edit(rule, decision.stanza)
    return decision


def _fits(rule: StanzaRule, stanza: RelayedStanza, direction: Direction) -> bool:
    raw = stanza.raw
    # Most stanzas are told apart without parsing them. A namespace may be declared by the stream's header alone.
    if any(text.encode() not in raw for text in (rule.element, rule.contains, rule.type)):
        return False
    namespace = rule.namespace.encode()
    if namespace not in raw and namespace not in stanza.header:
        return False
    try:
        itself = stanza.elements[0]
    except expat.ExpatError:  # a prefix without a namespace: its receiver judges that
        return False
    if rule.stanza and itself.name != rule.stanza:
        return False
    if rule.type and stanza.attribute("type") != rule.type:
        return False
    sender, receiver = find_ends(direction, stanza)
    if not _is_of(sender, rule.sender) or not _is_of(receiver, rule.receiver):
        return False
    if rule.except_sender and _is_of(sender, rule.except_sender):
        return False
    if rule.element:
        return bool(stanza.find(rule.element, rule.namespace))
    return not rule.namespace or any(one.namespace == rule.namespace for one in stanza.elements[1:])


def _is_of(jid: str, wanted: str) -> bool:
    """Whether a JID is the one that is wanted: a domain and a bare JID stand for all that they have."""
    bare = jid.partition("/")[0]
    return not wanted or wanted in (jid, bare, bare.rpartition("@")[2])


def _edit(rule: StanzaRule, stanza: RelayedStanza) -> RelayedStanza:
    """The stanza with every such element changed; of those inside each other the outer ones."""
    last = len(stanza.raw)
    outer = []
    reached = 0
    for element in stanza.find(rule.element, rule.namespace):
        if element.begin >= reached:
            outer.append(element)
            reached = element.end
    for element in reversed(outer):  # from the end: the places of the others stay right
        assert element.end <= last
        last = element.begin
        if rule.action == "replace" and rule.text is not None:
            stanza = stanza.replace_text(element, rule.text)
        elif rule.action == "substitute":
            stanza = stanza.substitute(element, rule.contains, rule.text or "")
        elif rule.action == "corrupt":
            stanza = stanza.corrupt(element)
        elif rule.action == "append":
            stanza = stanza.append(element, rule.xml or "")
        else:
            stanza = stanza.replace(element, rule.xml or "")
    return stanza

"""What is done to stanzas on a link, as data: a rule says which stanzas, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lab.declarations.units import DURATION_PATTERN, parse_duration
from lab.errors import UserError

ACTIONS = ("drop", "delay", "repeat", "reorder", "replace", "remove", "append", "substitute", "corrupt", "read")
STANZAS = ("message", "presence", "iq")
MOST_RULES = 1000


@dataclass(frozen=True, kw_only=True)
class StanzaRule:
    """Which stanzas, and what becomes of them. A stanza fits if it fits every field that is given."""

    action: str
    # Which stanzas; "" is any.
    stanza: str = ""  # "message", "presence", "iq"
    type: str = ""  # the stanza's type attribute
    sender: str = ""  # of its `from`: a domain, a bare or a full JID
    except_sender: str = ""  # the same, of those that do not fit
    receiver: str = ""  # of its `to`
    element: str = ""  # local name of an element somewhere inside it
    namespace: str = ""  # of that element, or of any
    contains: str = ""  # a text in its XML as it was sent
    nth: int = 1  # of those that fit, every how many-th
    # What becomes of them.
    after: float = 0.0  # delay: how much later it is sent on, in seconds
    times: int = 1  # repeat: how many more copies
    text: str | None = None  # replace: the content of `element`; substitute: what takes the place of `contains` in it
    xml: str | None = None  # replace: what stands in the place of `element`; append: what stands last in it

    def describe(self) -> str:
        """ "drop every 3rd message", for a history."""
        inside = f" with <{self.element}>" if self.element else ""
        times = f" (each {self.nth}.)" if self.nth > 1 else ""
        ends = "".join(f" {word} {jid}" for word, jid in (("from", self.sender), ("to", self.receiver)) if jid)
        return f"{self.action} {self.stanza or 'stanza'}{inside}{ends}{times}"


def read_rules(value: Any) -> tuple[StanzaRule, ...]:
    """Rules as a script or a file gives them: a list of mappings of their fields. Raises UserError."""
    if not isinstance(value, list | tuple) or not value:
        raise UserError("must be a list of rules: write `rules: [{action: drop, stanza: message, nth: 3}]`")
    if len(value) > MOST_RULES:
        raise UserError(f"has {len(value)} rules: at most {MOST_RULES}")
    return tuple(_read(one, number) for number, one in enumerate(value, 1))


def read_count(value: Any) -> int:
    """A whole number of at least 1. Raises UserError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"must be a whole number of at least 1, not {value!r}")
    return value


def read_stanza(value: Any) -> str:
    """A kind of stanza, or "" for any. Raises UserError."""
    if value not in ("", *STANZAS):
        raise UserError(f"{value!r} is none of {', '.join(STANZAS)}")
    return str(value)


def read_name(value: Any) -> str:
    """A text in one line, or "". Raises UserError."""
    if not isinstance(value, str) or not (value.isprintable() or not value):
        raise UserError(f"must be a text in one line, not {value!r}")
    return value


def _read(value: Any, number: int) -> StanzaRule:
    if not isinstance(value, Mapping) or "action" not in value:
        raise UserError(f"rule {number}: must be a mapping with an action: {{action: drop, stanza: message}}")
    known = [one.name for one in fields(StanzaRule)]
    if unknown := [name for name in value if name not in known]:
        raise UserError(f"rule {number}: there is no field {unknown[0]!r}: there are {', '.join(known)}")
    try:
        rule = StanzaRule(**{name: _READERS.get(name, read_name)(given) for name, given in value.items()})
    except UserError as error:
        raise UserError(f"rule {number}: {error}") from None
    if wrong := _find_contradiction(rule):
        raise UserError(f"rule {number}: {wrong}")
    return rule


def _find_contradiction(rule: StanzaRule) -> str:
    if rule.action not in ACTIONS:
        return f"action {rule.action!r} is none of {', '.join(ACTIONS)}"
    if rule.action in ("replace", "remove", "append", "substitute", "corrupt") and not rule.element:
        return f"{rule.action} needs the `element` that it is done to"
    if rule.action == "append" and not rule.xml:
        return "append needs `xml`, what stands last in the element"
    if rule.action == "substitute" and (not rule.contains or rule.text is None):
        return "substitute needs `contains`, and `text`, which takes its place"
    if rule.action == "replace" and (rule.text is None) == (rule.xml is None):
        return "replace needs either `text`, the element's new content, or `xml`, what stands in its place"
    if rule.action == "delay" and not rule.after:
        return "delay needs `after`, such as 3s"
    return ""


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UserError(f"{value!r} is no text")
    return value


_READERS: dict[str, Any] = {
    "stanza": read_stanza, "nth": read_count, "times": read_count, "after": parse_duration, "text": _text,
    "xml": _text,
}  # fmt: skip

#: JSON Schema of what files give.
RULES_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST_RULES,
    "items": {
        "type": "object",
        "properties": {
            **{one.name: {"type": "string"} for one in fields(StanzaRule)},
            "action": {"enum": list(ACTIONS)},
            "stanza": {"enum": ["", *STANZAS]},
            "nth": {"type": "integer", "minimum": 1},
            "times": {"type": "integer", "minimum": 1},
            "after": {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}]},
        },
        "required": ["action"],
        "additionalProperties": False,
    },
}

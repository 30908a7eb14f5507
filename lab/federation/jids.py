"""The parts of a JID, prepared as servers prepare them (RFC 7622): what is on the wire, or an error for what cannot be.

Servers map names before they look them up ("UPPER" is "upper", "Straße" is "strasse"). An account, a folder or an event
under the unmapped name would belong to nobody, so every name that a script gives passes through here first.

The localpart is mapped with case folding, which Prosody, ejabberd and RFC 7613 do; RFC 8265 would leave "ß" as it is.

Prosody, ejabberd and slixmpp still prepare names with the Stringprep profiles of RFC 6122, which are of Unicode 3.2: a
name that these would refuse or change is an error, too.
"""

from __future__ import annotations

import stringprep
from collections.abc import Callable
from unicodedata import ucd_3_2_0

from lab.errors import UserError

EXCLUDED = "\"&'/:<>@"  # RFC 7622 section 3.3.1

#: Servers keep a user's data in a file of that name, each byte that is no ASCII letter or digit as %xx, and a file's
#: name has at most 255 bytes. RFC 7622 allows 1,023 octets.
LONGEST = 200

#: What both profiles prohibit (RFC 6122 appendices A.5 and B.5), and what Unicode 3.2 does not have.
_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare_localpart(text: str, what: str = "name") -> str:
    """A localpart as it is on the wire (RFC 7622 section 3.3). Raises UserError that says what is wrong with it."""
    prepared = _enforce("UsernameCaseMapped:CaseFold", text, what)
    if excluded := next((one for one in prepared if one in EXCLUDED), None):
        raise _refusal(text, what, f"{excluded!r} cannot be in a localpart (RFC 7622 section 3.3.1)")
    _check_stringprep(text, prepared, what, stringprep.map_table_b2)
    return prepared


def prepare_resourcepart(text: str, what: str = "resource") -> str:
    """A resourcepart as it is on the wire (RFC 7622 section 3.4). Raises UserError that says what is wrong with it."""
    prepared = _enforce("OpaqueString", text, what)
    _check_stringprep(text, prepared, what, str)
    return prepared


def _enforce(profile: str, text: str, what: str) -> str:
    from precis_i18n import get_profile

    if not isinstance(text, str):
        raise UserError(f"a {what} is a text, not {type(text).__name__}")
    if not text:
        raise UserError(f"a {what} cannot be empty (RFC 7622): give it at least one character")
    try:
        prepared: str = get_profile(profile).enforce(text)
    except UnicodeEncodeError as error:
        raise _refusal(text, what, _reason(error)) from None
    size = sum(1 if byte < 128 and chr(byte).isalnum() else 3 for byte in prepared.encode())
    if size > LONGEST:
        shown = f"{text[:20]}…"
        raise _refusal(shown, what, f"it is too long for the files in which servers keep accounts ({size} > {LONGEST})")
    return prepared


def _check_stringprep(text: str, prepared: str, what: str, fold: Callable[[str], str]) -> None:
    """Raises UserError if Nodeprep or Resourceprep (RFC 6122 appendices A and B) refuse or change what is prepared."""
    kept = (one for one in prepared if not stringprep.in_table_b1(one))
    mapped = ucd_3_2_0.normalize("NFKC", "".join(fold(one) for one in kept))
    if wrong := next((one for one in prepared if any(holds(one) for holds in _PROHIBITED)), None):
        raise _refusal(text, what, f"servers refuse U+{ord(wrong):04X} in it (RFC 6122)")
    if mapped != prepared:
        raise _refusal(text, what, f"servers would take it for {mapped!r} (RFC 6122)")
    directed = [one for one in prepared if stringprep.in_table_d1(one)]
    ends = prepared[0], prepared[-1]
    if directed and (any(map(stringprep.in_table_d2, prepared)) or not all(map(stringprep.in_table_d1, ends))):
        raise _refusal(text, what, "it mixes directions of writing (RFC 3454 section 6)")


def _reason(error: UnicodeEncodeError) -> str:
    character = error.object[error.start : error.start + 1]
    rule = error.reason.removeprefix("DISALLOWED/").replace("_", " ")
    if rule == "bidi rule":
        return "it mixes directions of writing (RFC 5893 section 2)"
    return f"U+{ord(character):04X} at position {error.start + 1} is not allowed ({rule}, RFC 8264)"


def _refusal(text: str, what: str, reason: str) -> UserError:
    return UserError(f"{text!r} cannot be a {what}: {reason}")

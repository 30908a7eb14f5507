"""Finding a canary, a secret text, in the bytes of a file or a stanza: raw, in base64 or in hex.

Pure and quick: a search is one scan for each way of writing, with no regular expression, so megabytes take
milliseconds. What counts as the same text:

raw      UTF-8, also as XML and JSON escape it
base64   at the three alignments a text can have inside what is encoded, standard and URL-safe alphabet
hex      lower and upper case

Limits: base64 broken into lines (MIME), compression and UTF-16 are not seen through; in base64 two canaries that
differ in their last character only may be taken for each other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

RAW, BASE64, HEX = "raw", "base64", "hex"
ENCODINGS = (RAW, BASE64, HEX)

# Shorter than this, what is left of a text in base64 could be anywhere by chance.
SHORTEST = 6


@dataclass(frozen=True, order=True)
class Hit:
    """A canary that some bytes contain, and its encoding."""

    canary: str
    encoding: str  # "raw", "base64", "hex"


def find(canary: str, data: bytes) -> tuple[str, ...]:
    """The encodings in which `data` contains `canary`, in the order of `ENCODINGS`. Raises ValueError if too short."""
    by_encoding = _patterns(canary)
    return tuple(name for name in ENCODINGS if any(pattern in data for pattern in by_encoding[name]))


def find_all(canaries: Iterable[str], data: bytes) -> tuple[Hit, ...]:
    """Every canary that `data` contains, sorted. Canaries that begin alike cost little more than one."""
    wanted = tuple(dict.fromkeys(canaries))
    beginning = _common_beginning(wanted)
    if len(wanted) > 2 and len(beginning.encode()) > SHORTEST and not find(beginning, data):
        return ()
    return tuple(sorted(Hit(canary, encoding) for canary in wanted for encoding in find(canary, data)))


def _common_beginning(texts: tuple[str, ...]) -> str:
    first, last = min(texts, default=""), max(texts, default="")  # all others sort, so begin, between these
    same = next((index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:same]


@lru_cache(maxsize=4096)
def _patterns(canary: str) -> dict[str, tuple[bytes, ...]]:
    text = canary.encode()
    if len(text) < SHORTEST:
        raise ValueError(f"{canary!r} is too short for a canary: at least {SHORTEST} bytes are needed")
    return {
        RAW: tuple(dict.fromkeys(_raw(canary))),
        BASE64: tuple(dict.fromkeys(_base64(text))),
        HEX: (text.hex().encode(), text.hex().upper().encode()),
    }


def _raw(canary: str) -> Iterator[bytes]:
    quotes = {'"': "&quot;", "'": "&apos;"}
    for written in (canary, escape(canary), escape(canary, quotes)):
        yield written.encode()
        yield json.dumps(written)[1:-1].encode()
        yield json.dumps(written, ensure_ascii=False)[1:-1].encode()


def _base64(text: bytes) -> Iterator[bytes]:
    """The characters that depend on the text alone, at each alignment: those shared with neighbours are left out."""
    for before in range(3):
        bits = 8 * (before + len(text))
        first, last = -(-8 * before // 6), bits // 6
        written = base64.b64encode(b"\0" * before + text)[first:last]
        yield written
        yield written.translate(bytes.maketrans(b"+/", b"-_"))
        yield written.replace(b"/", b"\\/")  # as some JSON writers escape it

"""Small helpers for the wording of errors: the nearest known word, lists of choices."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 0.6  # difflib's own cutoff: one or two letters in a short word
LONGEST = 100  # characters of a word that is compared: comparing takes the square of it
MANY = 24  # more choices than this are not listed


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like `word`, or None if none is near."""
    if len(word) > LONGEST:
        return None
    by_shape = {_shape(each): each for each in known}
    found = get_close_matches(_shape(word), by_shape, n=1, cutoff=NEAR)
    return by_shape[found[0]] if found else None


def list_choices(known: Iterable[str]) -> str:
    """Known words as a list to read, cut short if there are too many."""
    words = list(known)
    return ", ".join(words[:MANY]) + (", …" if len(words) > MANY else "")


def suggest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A clause to put behind what is unknown: ", did you mean 'x'?", else "; known are …" or `otherwise`."""
    words = list(known)
    near = find_nearest(word, words)
    if near is not None:
        return f", did you mean '{near}'?"
    if otherwise is not None:
        return otherwise
    return f": known {'is' if len(words) == 1 else 'are'} {list_choices(words)}" if words else ""


def count(number: int, noun: str) -> str:
    """ "1 link", "2 links"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shape(word: str) -> str:
    return word.lower().replace("_", "-")

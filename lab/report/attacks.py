"""Results of attacks as text and as JSON: a table, what its words mean, and how it differs from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lab.checks.verdict import pluralize, shorten
from lab.runner.attacks.cells import ENCRYPTIONS, NO_TRUST, TRUSTS, CellOutcome, CellResult
from lab.runner.attacks.reference import CellDifference
from lab.system.tables import format_table, wrap_text

LONGEST_WHY = 200  # characters of a reason
#: What the words of a cell mean.
WORDS = {
    "unnoticed": "the attack succeeded, and nobody is told.",
    "sender, receiver": "their device says so: it refuses, shows an error or plain text, or misses a receipt.",
    "both": "sender and receiver.",
    "check NAME": "no device says so; a check of the lab does, which sees both ends.",
    "impossible": "the attack acted, and the message was read as ever, by nobody else.",
    "-": "there is no such attack.",
    "unknown": "it was not judged, see below.",
}
#: What the lines of a row mean.
TRUST_WORDS = {
    "blind": "keys are trusted when they are first seen",
    "verified": "the same, after one key was compared and verified",
    "undecided": "nothing is sent before fingerprints were compared",
}


def to_json(results: Sequence[CellResult], differences: Sequence[CellDifference]) -> dict[str, Any]:
    """Each cell with its evidence, and the differences from the reference."""
    return {
        "cells": [
            {**asdict(one.cell), "result": one.text, "outcome": str(one.outcome), "by": list(one.by), "why": one.why,
             "checks": list(one.checks), "messages": list(one.messages), "run": one.folder}
            for one in results
        ],
        "differences": [
            {**asdict(one.found.cell), "result": one.found.text, "reference": one.expected, "why": one.found.why}
            for one in differences
        ],
    }  # fmt: skip


def render(results: Sequence[CellResult]) -> str:
    """The table and its words, without a newline at the end. Which check it is stands once, below the table."""
    checks = {one.text for one in results if one.text.startswith("check ")}
    head, *rows = list_rows(results)
    short = [[cell.partition(" ")[0] if cell in checks else cell for cell in row] for row in rows]
    lines = [format_table(head, short), ""]
    trusts = [one for one in TRUST_WORDS if any(result.cell.trust == one for result in results)]
    for word in trusts:
        lines += wrap_text(TRUST_WORDS[word], f"{word:<12}", " " * 12)
    lines += [""] if trusts else []
    shown = {word for one in results for word in ("check NAME" if "check" in one.text else one.text).split(", ")}
    for word, meaning in WORDS.items():
        if shown & set(word.split(", ")):
            shown_word = " or ".join(sorted(checks)) if word == "check NAME" else word
            lines += wrap_text(meaning, f"{shown_word:<18}", " " * 18)
    for why, cells in _unknown(results).items():
        lines += ["", *wrap_text(f"Unknown: {', '.join(cells)}: {shorten(why, LONGEST_WHY)}.")]
    return "\n".join(lines)


def render_verdict(results: Sequence[CellResult], differences: Sequence[CellDifference]) -> str:
    """The comparison with the reference: "VALID: 70 cells as in the reference."."""
    value, sentence = render_sentence(results, differences)
    lines = [f"{value.upper()}: {sentence}"]
    for one in differences:
        lines += wrap_text(shorten(str(one), LONGEST_WHY + 100), "- ", "  ")
    return "\n".join(lines)


def render_sentence(results: Sequence[CellResult], differences: Sequence[CellDifference]) -> tuple[str, str]:
    """The verdict of the comparison with the reference, and its sentence."""
    cells = pluralize(len(results), "cell")
    if not differences:
        return "valid", f"{cells} as in the reference."
    value = "failed" if any(one.known for one in differences) else "unknown"
    differ = "differs" if len(differences) == 1 else "differ"
    return value, f"of {cells} {len(differences)} {differ} from the reference."


def list_rows(results: Sequence[CellResult]) -> list[tuple[str, ...]]:
    """The table: its head, then its rows."""
    columns = [one for one in ENCRYPTIONS if any(result.cell.encryption == one for result in results)]
    texts = {(one.cell.attack, one.cell.encryption, one.cell.trust): one.text for one in results}
    rows = [("attack", "trust", *columns)]
    for attack in dict.fromkeys(one.cell.attack for one in results):
        # Of an encryption without keys there is one cell, in the first line.
        lines = [one for one in TRUSTS if any(key[0] == attack and key[2] == one for key in texts)] or [NO_TRUST]
        for number, trust in enumerate(lines):
            cells = [
                texts.get((attack, column, trust)) or (texts.get((attack, column, NO_TRUST), "") if not number else "")
                for column in columns
            ]
            rows.append(("" if number else attack, "" if trust == NO_TRUST else trust, *cells))
    return rows


def _unknown(results: Sequence[CellResult]) -> dict[str, list[str]]:
    """Why cells are unknown, each reason with the cells."""
    found: dict[str, list[str]] = {}
    for one in results:
        if one.outcome is CellOutcome.UNKNOWN:
            found.setdefault(one.why, []).append(str(one.cell))
    return found

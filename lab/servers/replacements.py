"""Settings of a configuration file that are replaced as whole lines: what a lab changes in a real server's file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lab.errors import UserError


@dataclass(frozen=True)
class Replacement:
    """A setting by a pattern of its whole lines, and the lines that take their place everywhere."""

    name: str  # as errors call it
    pattern: str  # of the module re, multi-line; group 1, if it has one, is kept in front
    lines: str


def replace_settings(text: str, replacements: Sequence[Replacement]) -> str:
    """The text with all of them replaced. Raises UserError, all at once, for settings that it does not have."""
    missing = [one.name for one in replacements if not re.search(one.pattern, text, re.MULTILINE)]
    if missing:
        raise UserError(
            f"the configuration sets no {' and no '.join(f'`{name}`' for name in missing)}, on a line of its own: "
            "in a lab it gets another value, so it must be there"
        )
    for one in replacements:
        text = re.sub(one.pattern, partial(_replace, one.lines), text, flags=re.MULTILINE)
    return text


def _replace(lines: str, found: re.Match[str]) -> str:
    return (found[1] if found.re.groups else "") + lines

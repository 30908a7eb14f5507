"""The places in exported files that a person has to look at. They are marked in one way, whatever the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lab.servers.software import File

#: Stands in a comment, before what is to be decided.
MARK = "CHANGE:"


class MarkedLine(NamedTuple):
    """One place that is marked."""

    place: str  # file:line
    text: str  # what is to be decided


def list_changes(files: Sequence[File]) -> list[MarkedLine]:
    """Every marked place, in the order of the files."""
    return [
        MarkedLine(f"{file.path}:{number}", re.sub(r"\s+", " ", line.partition(MARK)[2]).strip())
        for file in files
        for number, line in enumerate(file.text.splitlines(), 1)
        if MARK in line
    ]

"""The formats in which a run is reported. A new one is one module here and one line in ReportFormat.

The module of a format has its name and a function `render(record, judgement)`, which returns
text, or bytes. It is imported when the format is used: `xmpplab report --help` needs the names only.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.checks import Judgement
    from lab.metrics.record import RunRecord


class ReportFormat(StrEnum):
    """Output for people, or for programs."""

    TEXT = "text"
    JSON = "json"
    PCAPNG = "pcapng"
    SVG = "svg"
    MERMAID = "mermaid"
    SHIVIZ = "shiviz"


def render(chosen: ReportFormat, record: RunRecord, judgement: Judgement) -> str | bytes:
    """The report of a run in a format: text that ends with a newline, or bytes."""
    content: str | bytes = import_module(f"{__name__}.{chosen}").render(record, judgement)
    return content

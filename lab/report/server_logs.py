"""The lines of servers' logs with their times: of the copies in a run's folder, else what the history has of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.history.events import ServerLogged
from lab.metrics.record import RunRecord
from lab.runner.folders import LOGS

LINES = 4_000  # of all servers: a server that fails can write millions
LONGEST = 400  # characters of a line
#: Seconds before the run from which on lines count, and after its last event.
BEFORE, AFTER = 2.0, 2.0

# ejabberd: "2026-01-02 03:04:05.678901+00:00 [info] …"; Prosody: "Jan 02 03:04:05 module  info  …", in local time.
_WITH_DATE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z)?)\s+(.*)")
_WITHOUT_YEAR = re.compile(r"([A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d)\s+(.*)")


@dataclass(frozen=True)
class LogLine:
    """A line of a server's log."""

    at: float  # seconds since the epoch; whole seconds where the server writes no fractions
    server: str
    text: str


def read_log_lines(folder: Path | None, record: RunRecord) -> list[LogLine]:
    """Lines from the time of the run, in order; at most `LINES`, the last ones. Without copies: warnings and errors."""
    began = record.started.at if record.started else 0.0
    found = list(_copied(folder / LOGS, record, began)) if folder is not None else []
    servers = {line.server for line in found}
    found += [
        LogLine(one.at, one.server, f"[{one.level}] {one.text[:LONGEST]}")
        for one in record.of(ServerLogged)
        if one.server not in servers
    ]
    ended = record.last_at + AFTER
    return sorted((one for one in found if began - BEFORE <= one.at <= ended), key=lambda one: one.at)[-LINES:]


def _copied(logs: Path, record: RunRecord, began: float) -> Iterator[LogLine]:
    for server in record.topology.servers:
        for path in sorted((logs / server.name).glob("*.log")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if (found := parse_line(line, began)) is not None:
                    yield LogLine(found[0], server.name, found[1][:LONGEST])


def parse_line(line: str, began: float) -> tuple[float, str] | None:
    """The time of a line and its text; None where it begins with no time. A time without a year is near `began`."""
    if dated := _WITH_DATE.match(line):
        try:
            when = datetime.fromisoformat(dated[1])
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(), dated[2]
    if short := _WITHOUT_YEAR.match(line):
        year = datetime.fromtimestamp(began, UTC).astimezone().year
        for candidate in (year, year + 1):
            try:
                at = datetime.strptime(f"{candidate} {short[1]}", "%Y %b %d %H:%M:%S").astimezone().timestamp()
            except ValueError:
                continue
            if abs(at - began) < 180 * 86400:
                return at, short[2]
    return None

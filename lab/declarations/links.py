"""What one direction of a link is like. A new link field is a field of `Conditions`, and what the shaper does with it.

Everything else reads the declaration: topology files and their errors, the JSON schema, plans, pictures, `--dry-run`,
the relay's control operations, faults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from lab.declarations import units
from lab.errors import UserError

MAX_LATENCY = 30.0  # seconds one way; servers give up a connection attempt after about a minute
MIN_RATE = 1000  # bytes per second; two TLS handshakes with client certificates are about 20 KB

_METADATA = "link field"


@dataclass(frozen=True, kw_only=True)
class LinkField:
    """One property of a direction. Its name and its neutral value are those of the field of `Conditions`."""

    read: Callable[[Any], Any]  # a value as people write it: "40ms" is 0.04. Raises UserError
    write: Callable[[Any], str]  # the inverse: 0.04 is "40ms"
    unit: str  # of the value in the program, in plans and over the control socket: "s"
    schema: Mapping[str, Any]  # JSON schema of what people write
    about: str  # a sentence for editors
    smallest: float = 0.0  # the least value over the control socket
    whole: bool = False  # the value is an integer
    at_most: str = ""  # name of the field that it must not exceed
    reason: str = ""  # why it must not
    label: str = "{}"  # on pictures, with the text of `write`
    attached: bool = False  # on pictures it follows the field before it without a comma

    name: str = ""  # set where it is declared
    neutral: Any = None  # the value that changes nothing

    def accept(self, value: Any) -> Any:
        """A value from JSON, in the field's unit. Raises UserError for what is none."""
        if value is None and self.neutral is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{self.name!r} must be a number of at least {self.smallest:g}, not {value!r}")
        if value < self.smallest:
            raise UserError(f"{self.name!r} must be a number of at least {self.smallest:g}, not {value!r}")
        return int(value) if self.whole else float(value)


def _declare(neutral: Any, declaration: LinkField) -> Any:
    return field(default=neutral, metadata={_METADATA: declaration})


def _latency(value: Any) -> float:
    read = units.parse_duration(value)
    if read > MAX_LATENCY:
        raise UserError(
            f"{value} is too long for servers, which time out: use at most {units.format_duration(MAX_LATENCY)}"
        )
    return read


def _rate(value: Any) -> int | None:
    read = units.parse_rate(value)
    if read is not None and read < MIN_RATE:
        raise UserError(
            f"{value} is too slow for servers, which time out before TLS is negotiated: "
            f"use at least {units.format_rate(MIN_RATE)}"
        )
    return read


_DURATION = {"anyOf": [{"type": "string", "pattern": units.DURATION_PATTERN}, {"const": 0}], "examples": ["40ms"]}
_RATE = {"type": "string", "pattern": units.RATE_PATTERN, "examples": ["64kbit/s", "1Mbit/s", "unlimited"]}


@dataclass(frozen=True)
class Conditions:
    """What one direction of a link is like."""

    #: Seconds added to every byte.
    latency: float = _declare(
        0.0,
        LinkField(
            read=_latency,
            write=units.format_duration,
            unit="s",
            schema=_DURATION,
            about="Delay in one direction, with a unit: 40ms. A round trip takes twice as long (default 0).",
        ),
    )
    #: Seconds, standard deviation around the latency.
    jitter: float = _declare(
        0.0,
        LinkField(
            read=_latency,
            write=units.format_duration,
            unit="s",
            schema=_DURATION,
            about="Standard deviation of the latency, not larger than it (default 0).",
            at_most="latency",
            reason="no delay is negative",
            label=" ±{}",
            attached=True,
        ),
    )
    #: Bytes per second, None: unlimited.
    rate: int | None = _declare(
        None,
        LinkField(
            read=_rate,
            write=units.format_rate,
            unit="bytes/s",
            schema=_RATE,
            about="Most that passes, with a unit: 1Mbit/s (bits) or 100KB/s (bytes), or unlimited (default unlimited).",
            smallest=1.0,
            whole=True,
        ),
    )

    @cached_property
    def neutral(self) -> bool:
        """True if this direction changes nothing."""
        return not self.changes()

    def changes(self) -> list[tuple[LinkField, Any]]:
        """Fields whose value is not the neutral one, with their values."""
        values = [(one, getattr(self, one.name)) for one in LINK_FIELDS]
        return [(one, value) for one, value in values if value != one.neutral]

    def describe(self) -> str:
        """ "40ms ±5ms, 1Mbit/s"; "" if nothing is changed."""
        text = ""
        for one, value in self.changes():
            text += (", " if text and not one.attached else "") + one.label.format(one.write(value))
        return text


#: Every link field, in the order of `Conditions`.
LINK_FIELDS = tuple(replace(one.metadata[_METADATA], name=one.name, neutral=one.default) for one in fields(Conditions))

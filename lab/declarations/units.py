"""Durations and rates with their units, as people write them, and back.

    40ms  1.5s  2min  500us            durations, in the program: seconds (float)
    64kbit/s  1Mbit/s  100KB/s  2MiB/s  rates, in the program: bytes per second (int); "unlimited": None
    5%  0.5%                            shares, in the program: 0.05 (float)

A bare number is refused (but 0): a reader could not tell milliseconds from seconds, or bits from bytes. For the
same reason bits are spelled `bit` and bytes `B`; `kb` and `Mbps` are refused with both readings offered.
"""

from __future__ import annotations

import re

from lab.errors import UserError

DURATION_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_BITS = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_BYTES = {"B": 1, "KB": 10**3, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
UNLIMITED = "unlimited"

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
DURATION_PATTERN = rf"^{_NUMBER} ?(us|ms|s|min)$"
SHARE_PATTERN = r"^([0-9]+(?:\.[0-9])?) ?%$"
RATE_PATTERN = rf"^(unlimited|{_NUMBER} ?([kMG]?bit|[kKMG]?B|[KMG]iB)(/s)?)$"
_SPLIT = re.compile(rf"({_NUMBER}) ?([A-Za-zµ]*)(/s)?")


def parse_duration(value: object) -> float:
    """A duration such as "40ms" in seconds. Raises UserError that says how to write it."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    number, unit, per_second = _parts(value, "a duration such as 40ms or 1.5s")
    if not unit:
        raise UserError(f"{_quoted(value)} has no unit: write {number}ms or {number}s")
    if unit not in DURATION_UNITS or per_second:
        raise UserError(f"{_quoted(value)} has an unknown unit: use one of {', '.join(DURATION_UNITS)}")
    # Rounded to nanoseconds, so that 0.1 ms times a power of ten reads as the same number everywhere.
    return round(float(number) * DURATION_UNITS[unit], 9)


def parse_rate(value: object) -> int | None:
    """A rate such as "1Mbit/s" in bytes per second, None for "unlimited". Raises UserError as `parse_duration` does."""
    if value == UNLIMITED:
        return None
    number, unit, _ = _parts(value, "a rate such as 64kbit/s or 100KB/s")
    if not unit:
        raise UserError(f"{_quoted(value)} has no unit: write {number}kbit/s or {number}KB/s")
    if unit in _BITS:
        return round(float(number) * _BITS[unit] / 8)
    if unit in _BYTES:
        return round(float(number) * _BYTES[unit])
    raise UserError(_unknown_rate_unit(value, number, unit))


def parse_share(value: object) -> float:
    """A share such as "5%", from 0.1% to 99%, as a number: 0.05. Raises UserError as `parse_duration` does."""
    found = re.fullmatch(SHARE_PATTERN, value) if isinstance(value, str) else None
    if found is None:
        raise UserError(
            f"{_quoted(value)} is no share: write it in per cent, with at most one decimal, such as 5% or 0.5%"
        )
    share = round(float(found[1]) / 100, 3)
    if not 0.001 <= share <= 0.99:
        raise UserError(f"{_quoted(value)} is out of range: use 0.1% to 99%")
    return share


def parse_size(value: object) -> int:
    """A size such as "64KiB" in bytes. Raises UserError as `parse_duration` does."""
    number, unit, per_second = _parts(value, "a size such as 20KB or 64KiB")
    if unit not in _BYTES or per_second:
        problem = "has an unknown unit" if unit else "has no unit"
        raise UserError(f"{_quoted(value)} {problem}: write bytes as in {number}B, {number}KB or {number}KiB")
    return round(float(number) * _BYTES[unit])


def format_duration(value: float) -> str:
    """The shortest exact text of a duration given in seconds: 0.04 is "40ms"."""
    if value == 0:
        return "0"
    for unit in ("min", "s", "ms"):
        if value >= DURATION_UNITS[unit] and (unit != "min" or value % 60 == 0):
            return f"{_plain(value / DURATION_UNITS[unit])}{unit}"
    return f"{_plain(value / DURATION_UNITS['us'])}us"


def format_rate(value: int | None) -> str:
    """A rate given in bytes per second as text in bits, which is how links are sold: 125000 is "1Mbit/s"."""
    if value is None:
        return UNLIMITED
    bits = value * 8
    unit = next(unit for unit in ("Gbit", "Mbit", "kbit", "bit") if bits >= _BITS[unit] or unit == "bit")
    return f"{_plain(bits / _BITS[unit])}{unit}/s"


def _parts(value: object, wanted: str) -> tuple[str, str, str | None]:
    """Number, unit ("" if none) and "/s" if there is one."""
    text = value if isinstance(value, str) else str(value)
    match = None if isinstance(value, bool) else _SPLIT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{_quoted(value)} is not {wanted}")
    return match[1], match[2], match[3]


def _unknown_rate_unit(value: object, number: str, unit: str) -> str:
    prefix = unit[0].upper() if unit[0] in "kKmMgG" else ""
    bits, octets = f"{number}{'k' if prefix == 'K' else prefix}bit/s", f"{number}{prefix}B/s"
    if unit.lower() in {"kb", "mb", "gb", "b", "kbps", "mbps", "gbps", "bps"}:
        return f"{_quoted(value)} could be bits or bytes: write {bits} for bits, {octets} for bytes"
    return f"{_quoted(value)} has an unknown unit: write bits as in 64kbit/s or 1Mbit/s, bytes as in 100KB/s or 2MiB/s"


def _plain(number: float) -> str:
    return f"{round(number, 6):.6f}".rstrip("0").rstrip(".")


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)

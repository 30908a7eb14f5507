"""Bounds of a load as people write them: "p99=200ms,loss=0,bounced=1%".

p50 p90 p95 p99 p99.9 max    the delay from the intended time, at most; a duration
loss bounced failed          shares of the expected receipts; failed is both together; 0, 0.001 or 0.1%
duplicates                   came more than once, as a share of what was received
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.declarations.units import seconds
from lab.errors import UserError
from lab.load.metrics.result import Result

DEFAULT = "loss=0,bounced=0,duplicates=0"
DELAYS = ("p50", "p90", "p95", "p99", "p99.9", "max")
SHARES = ("loss", "bounced", "failed", "duplicates")
#: One of what a share counts, for sentences.
_SINGULAR = {"failed": "failure", "bounced": "bounce", "duplicates": "duplicate"}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


def parse(text: str) -> dict[str, float]:
    """Seconds and shares by name. Raises UserError."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in (*DELAYS, *SHARES):
            raise UserError(f"{part.strip()!r} is no bound: write p99=200ms,loss=0; there are {_known()}")
        if name in found:
            raise UserError(f"{name} stands twice in {text!r}")
        found[name] = seconds(value) if name in DELAYS else _share(name, value)
    return found


def misses(result: Result, bounds: Mapping[str, float]) -> list[str]:
    """Bounds that a result does not keep, a sentence each."""
    total = result.total
    values = {
        "loss": total.loss,
        "failed": total.failed,
        "bounced": total.failed - total.loss,
        "duplicates": total.duplicates / total.received if total.received else 0.0,
    }
    found = []
    for name, most in bounds.items():
        if name in values:
            if values[name] > most + 1e-12:
                found.append(f"{name} was {values[name]:.4%}, at most {most:.4%} may be")
            continue
        delay = total.intended.max if name == "max" else total.intended.percentile(float(name[1:]))
        if delay > most:
            found.append(f"{name} was {1000 * delay:.1f} ms, at most {1000 * most:g} ms may be")
    return found


def words(bounds: Mapping[str, float]) -> str:
    """Bounds as people say them: "no loss or bounce, p99 at most 200 ms"."""
    none = [name for name in SHARES if bounds.get(name) == 0]
    said = [f"no {_several(none)}"] if none else []
    for name, most in bounds.items():
        if name not in none:
            said.append(f"{name} at most {1000 * most:g} ms" if name in DELAYS else f"{name} at most {100 * most:g} %")
    return ", ".join(said)


def _several(names: list[str]) -> str:
    plain = [_SINGULAR.get(name, name) for name in names]
    return plain[0] if len(plain) == 1 else f"{', '.join(plain[:-1])} or {plain[-1]}"


def _share(name: str, text: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if value >= 1:
        raise UserError(f"{name}={text}: is no share: write 0, 0.001 or 0.1%")
    return value


def _known() -> str:
    return ", ".join((*DELAYS, *SHARES))

"""What a load comes to: valid if every bound was kept, failed if one was not, unknown if nobody can say.

Unknown is a load that measured nothing, that ended early, or of which it is not known what was lost. A bound that was
certainly missed fails it all the same. Whether the generator was the limit changes no verdict, but what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab import exit_codes
from lab.load.analysis import thresholds as bounds
from lab.load.run_folder import Kept

_CODES = {"valid": exit_codes.VALID, "failed": exit_codes.FAILED, "unknown": exit_codes.UNKNOWN}


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a load."""

    value: str  # "valid", "failed", "unknown"
    sentence: str
    misses: tuple[str, ...] = ()  # bounds that were not kept, a sentence each

    @property
    def exit_code(self) -> int:
        """As docs/exit-codes.md has it."""
        return _CODES[self.value]

    def __str__(self) -> str:
        return f"{self.value.upper()}: {self.sentence}"


def verdict(kept: Kept) -> Verdict:
    """The verdict of a folder, from it alone."""
    name = kept.job.name or str(kept.job.load.get("traffic", "the load"))
    asked, total = kept.job.bounds, kept.result.total
    if kept.result.length and (misses := tuple(bounds.misses(kept.result, asked))):
        return Verdict("failed", f"{name} went beyond its bounds: {'; '.join(misses)}.", misses)
    if not kept.measured:
        why = f"it was interrupted: {kept.interrupted}" if kept.interrupted else "nothing came in the steady state"
        return Verdict("unknown", f"{name} measured nothing: {why}.")
    held = f"kept its bounds ({bounds.words(asked)})" if asked else "had no bounds to keep"
    if kept.interrupted:
        return Verdict("unknown", f"{name} {held} until it was interrupted: {kept.interrupted}.")
    if kept.unaccounted:
        several = ", ".join(f"{count:+d} on {route}" for route, count in kept.unaccounted.items())
        return Verdict("unknown", f"{name}: the counts do not add up ({several}).")
    if not kept.settled:
        return Verdict("unknown", f"{name}: what was lost is not known, for not everybody has told what came.")
    p99 = 1000 * total.intended.percentile(99)
    return Verdict("valid", f"{name} {held}: {total.received} of {total.deliveries} came, p99 {p99:.1f} ms.")

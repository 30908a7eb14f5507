"""The bounds of a load ("p99=200ms,loss=0,bounced=1%") and the verdict of a load: whether it kept them.

p50 p90 p95 p99 p99.9 max    the greatest delay from the intended time; a duration
loss bounced failed          shares of the expected receipts; failed is both together; 0, 0.001 or 0.1%
duplicates                   received more than once, as a share of what was received

The verdict is valid if every bound was kept, failed if one was exceeded, unknown if that cannot be said: the load
measured nothing, ended early, its losses are not known, or its generator sent too few messages: then the load that was
asked for did not take place. A bound that was certainly exceeded fails the load all the same. A generator that was late
does not change the verdict, since its delays are part of those that kept their bounds; the report says so.

Bounds are for what no declared fault concerns: messages that were lost or bounced while one acted (or up to 1 s before,
when they were under way) or until the load had recovered from it, on routes that it concerns, are counted apart, and
neither delays nor duplicates of these seconds are judged. Where the load did not recover, only the time until the
healing is left out. If a fault could not be applied the verdict is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab import exit_codes
from lab.declarations.units import parse_duration
from lab.errors import UserError
from lab.load.metrics.counters import RouteCounters, sum_counters
from lab.load.metrics.fault_record import FaultRecord, count_caused
from lab.load.metrics.result import Result, describe_too_few_sent
from lab.load.metrics.run_folder import LoadRecord
from lab.load.model.job import DELAYS, SHARES

DEFAULT = "loss=0,bounced=0,duplicates=0"
#: One of what a share counts, for sentences.
_SINGULAR = {"failed": "failure", "bounced": "bounce", "duplicates": "duplicate"}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")
_CODES = {"valid": exit_codes.VALID, "failed": exit_codes.FAILED, "unknown": exit_codes.UNKNOWN}


@dataclass(frozen=True)
class LoadVerdict:
    """The verdict of a load."""

    value: str  # "valid", "failed", "unknown"
    sentence: str
    misses: tuple[str, ...] = ()  # bounds that were exceeded, a sentence each

    @property
    def exit_code(self) -> int:
        """As in docs/exit-codes.md."""
        return _CODES[self.value]

    def __str__(self) -> str:
        return f"{self.value.upper()}: {self.sentence}"


def judge_load(record: LoadRecord) -> LoadVerdict:
    """The verdict of a load, from its folder alone."""
    name = record.job.name or str(record.job.load.get("traffic", "the load"))
    bounds, total = record.job.bounds, record.result.total
    if record.result.length and (misses := tuple(find_exceeded_bounds(record.result, bounds, record.faults))):
        return LoadVerdict("failed", f"{name} exceeded its bounds: {'; '.join(misses)}.", misses)
    if not record.measured:
        nothing = "nothing was received in the steady state"
        why = f"it was interrupted: {record.interrupted}" if record.interrupted else nothing
        return LoadVerdict("unknown", f"{name} measured nothing: {why}.")
    held = f"is within its bounds ({describe_bounds(bounds)})" if bounds else "had no bounds"
    if record.interrupted:
        return LoadVerdict("unknown", f"{name} {held} until it was interrupted: {record.interrupted}.")
    if record.unaccounted:
        several = ", ".join(f"{count:+d} on {route}" for route, count in record.unaccounted.items())
        return LoadVerdict("unknown", f"{name}: the counts do not add up ({several}).")
    if not record.settled:
        why = "not every worker reported what its users received"
        return LoadVerdict("unknown", f"{name}: it is not known what was lost: {why}.")
    if few := describe_too_few_sent(record.result):
        return LoadVerdict("unknown", f"{name}: the generator was the limit, not the servers: {few}.")
    if wrong := [one for one in record.faults if one.error]:
        return LoadVerdict("unknown", f"{name}: fault {wrong[0].title} did not act as declared: {wrong[0].error}.")
    if record.faults and {*bounds} & {*DELAYS} and not select_undisturbed(record.result, record.faults).intended.total:
        return LoadVerdict("unknown", f"{name}: a fault acted in every second, so that no delay can be judged.")
    received = f"{total.received} of {total.deliveries} received"
    if not record.faults:
        return LoadVerdict("valid", f"{name} {held}: {received}, p99 {1000 * total.intended.percentile(99):.1f} ms.")
    p99 = 1000 * select_undisturbed(record.result, record.faults).intended.percentile(99)
    said = f"{received}, {describe_caused(record)}, p99 {p99:.1f} ms in the seconds without"
    return LoadVerdict("valid", f"{name} {held}: {said}.")


def parse_bounds(text: str) -> dict[str, float]:
    """Delays in seconds and shares from 0 to 1, by name. Raises UserError for what is not a bound."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in (*DELAYS, *SHARES):
            known = ", ".join((*DELAYS, *SHARES))
            raise UserError(f"{part.strip()!r} is not a bound: write p99=200ms,loss=0; there are {known}")
        if name in found:
            raise UserError(f"{name} is given twice in {text!r}")
        found[name] = parse_duration(value) if name in DELAYS else _share(name, value)
    return found


def describe_caused(record: LoadRecord) -> str:
    """How many messages were lost and bounced under faults, as part of a sentence."""
    lost, bounced = (count_caused(record.result.failures, kind, record.faults) for kind in ("lost", "bounced"))
    return f"{lost} lost and {bounced} bounced under faults"


def select_undisturbed(result: Result, faults: Sequence[FaultRecord]) -> RouteCounters:
    """The counters of the seconds from the steady state on in which no fault acted and none was recovered from."""
    warmup = result.plan.get("warmup", 0.0)
    return sum_counters(
        second.tally
        for number, second in result.seconds.items()
        if number >= warmup and not any(one.applied < number + 1 and number < one.end for one in faults)
    )


def find_exceeded_bounds(result: Result, bounds: Mapping[str, float], faults: Sequence[FaultRecord] = ()) -> list[str]:
    """The bounds that a result exceeds apart from faults, a sentence each."""
    total = result.total
    caused = [count_caused(result.failures, kind, faults) if faults else 0 for kind in ("lost", "bounced")]
    lost, bounced = total.lost - caused[0], total.bounced.total() - caused[1]
    each = 1 / total.deliveries if total.deliveries else 0.0
    undisturbed = select_undisturbed(result, faults) if faults else total
    delays = undisturbed.intended
    values = {
        "loss": lost * each,
        "failed": (lost + bounced) * each,
        "bounced": bounced * each,
        "duplicates": undisturbed.duplicates / undisturbed.received if undisturbed.received else 0.0,
    }
    found = []
    for name, most in bounds.items():
        if name in values:
            if values[name] > most + 1e-12:
                found.append(f"{name} was {values[name]:.4%}, the bound is {most:.4%}")
            continue
        delay = delays.max if name == "max" else delays.percentile(float(name[1:]))
        if delay > most:
            found.append(f"{name} was {1000 * delay:.1f} ms, the bound is {1000 * most:g} ms")
    return found


def describe_bounds(bounds: Mapping[str, float]) -> str:
    """Bounds as part of a sentence: "no loss or bounce, p99 at most 200 ms"."""
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
        raise UserError(f"{name}={text}: is not a share below 1: write 0, 0.001 or 0.1%")
    return value

"""What a scenario expects of the checks, and how a verdict counts for the run then.

`expects={"secrecy": "failed"}` turns a check round. `expects={"roster": {"ejabberd@24.12": "failed"}}` does so for what
servers with this software, and this version if it is named, have done: what fails elsewhere counts as ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.checks.verdict import Finding, Value, Verdict, build_verdict
from lab.metrics.record import RunRecord

#: A value, or values by software.
Wanted = str | tuple[tuple[str, str], ...]


def count_verdict(record: RunRecord, verdict: Verdict, wanted: Mapping[str, Wanted]) -> Verdict:
    """The verdict as it counts for the run."""
    want = wanted.get(verdict.check, Value.VALID.value)
    if isinstance(want, str):
        return _turned(verdict, want)
    return _by_software(record, verdict, dict(want))


def is_explained(record: RunRecord, verdict: Verdict, wanted: Mapping[str, Wanted]) -> bool:
    """Whether a check has failed as the scenario expects it to."""
    return verdict.value is Value.FAILED and count_verdict(record, verdict, wanted).value is Value.VALID


def is_awaited(record: RunRecord, want: Wanted | None) -> bool:
    """Whether a verdict counts although the check had nothing to look at: this topology has what it is wanted of."""
    if want is None or isinstance(want, str):
        return want is not None
    return any(_software(record, one.name, dict(want)) for one in record.topology.servers)


def drop_explained(verdict: Verdict, explained: frozenset[str]) -> Verdict:
    """The verdict without the findings that a check which fails as expected has as well."""
    kept = tuple(one for one in verdict.findings if one.check not in explained)
    if len(kept) == len(verdict.findings):
        return verdict
    names = ", ".join(sorted({one.check for one in verdict.findings} & explained))
    good = f"{verdict.check} fails as {names} does, as it should."
    return build_verdict(verdict.check, verdict.judged, kept, good, "", verdict.servers)


def describe_wanted(want: Wanted) -> str:
    """ "failed", "failed on ejabberd@24.12"."""
    return want if isinstance(want, str) else ", ".join(f"{value} on {software}" for software, value in want)


def _turned(verdict: Verdict, want: str) -> Verdict:
    if want == Value.VALID or (verdict.value is Value.UNKNOWN and want != Value.UNKNOWN):
        return verdict
    if verdict.value == want:
        return Verdict(verdict.check, Value.VALID, f"{verdict.check} is {want}, as it should be: {verdict.sentence}")
    text = f"{verdict.check} should be {want} and is {verdict.value}: {verdict.sentence}"
    return Verdict(verdict.check, Value.FAILED, text, judged=1)


def _by_software(record: RunRecord, verdict: Verdict, want: Mapping[str, str]) -> Verdict:
    """Findings count by the software of the server that each is about; without one as ever."""
    found: dict[str, list[Finding]] = {software: [] for software in want}
    others: list[Finding] = []
    for one in verdict.findings:
        found.get(_software(record, one.at, want), others).append(one)
    took_part = {_software(record, name, want) for name in _servers(record, verdict)}
    parts = [
        _turned(build_verdict(verdict.check, 1, found[name], "nothing is wrong", "", ()), value)
        for name, value in want.items()
        if name in took_part or found[name]
    ]
    if not parts:
        return verdict
    told = ", ".join(f"on {name}" for name in want if name in took_part or found[name])
    rest = build_verdict(verdict.check, verdict.judged, others, "", "", ())
    for value in (Value.FAILED, Value.UNKNOWN):
        for part in (rest, *parts):
            if part.value is value:
                text = part.sentence if part is rest else f"{told}: {part.sentence}"
                return Verdict(verdict.check, value, text, judged=1)
    return Verdict(verdict.check, Value.VALID, f"{told}: {' '.join(one.sentence for one in parts)}", judged=1)


def _software(record: RunRecord, server: str, want: Mapping[str, str]) -> str:
    """The key of `want` that is about a server: with its version before without one; "" if none is."""
    spec = next((one for one in record.topology.servers if one.name == server), None)
    if spec is None:
        return ""
    names = (f"{spec.software}@{spec.version}", spec.software)
    return next((name for name in names if name in want), "")


def _servers(record: RunRecord, verdict: Verdict) -> tuple[str, ...]:
    """Names of the servers that a check looked at: by default those that messages were for."""
    if verdict.servers or not verdict.judged:
        return verdict.servers
    return tuple(record.path(sent)[-1] for _, sent in record.messages if record.path(sent))

"""The verdict of a run: every check, the scenario's expectations and the run's own end, put together.

Rules, in this order:
- failed outranks unknown, unknown outranks valid; a check that crashed is unknown;
- a check that had nothing to look at does not count, but if nothing at all was judged the run is unknown;
- a check that the scenario expects to fail (`expects`) counts as valid if it failed and as failed if it did not, on
  servers of one software if it says so; what another check or an expectation says of the same does not count then;
- a history with a gap is at best unknown: what is missing might show anything;
- a run that did not end by itself (killed, interrupted, the lab's own error) is at best unknown;
- a scenario that the topology cannot give its roles to is skipped.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lab import exit_codes
from lab.checks import expectations
from lab.checks.cause import find_cause_of_end
from lab.checks.verdict import Finding, Value, Verdict, build_verdict
from lab.checks.wanted import count_verdict, drop_explained, is_awaited, is_explained
from lab.history.events import Expectation
from lab.history.reader import HistoryGap
from lab.metrics.record import RunRecord

Check = Callable[[RunRecord], Verdict]

#: Names of all checks, in the order of reports. A new one is a module of its name here with a function `check`, one
#: line, and a section in docs/checks.md.
NAMES = (
    "delivery",
    "durability",
    "integrity",
    "reachability",
    "roster",
    "rooms",
    "convergence",
    "secrecy",
    "stanza-ids",
)

CHECKS: dict[str, Check] = {name: import_module(f"lab.checks.{name.replace('-', '_')}").check for name in NAMES}

#: What a scenario can expect another value of than valid.
EXPECTABLE = (*NAMES, expectations.NAME)

SKIPPED = "skipped"
NOTHING_JUDGED = "Nothing was judged: no message was sent and nothing was expected."
_CODES = {Value.VALID: exit_codes.VALID, Value.FAILED: exit_codes.FAILED, Value.UNKNOWN: exit_codes.UNKNOWN}
_BROKE_OFF = {
    "lab-error": "The lab failed",
    "peer-error": "The scenario broke off",  # a server or a client refused something, or did not answer
    "script-error": "The scenario broke off",
    "missing": "The scenario broke off",  # this machine lacks something
    "interrupted": "The run was interrupted",
}
_RANKS = (Value.FAILED, Value.UNKNOWN, Value.VALID)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a run."""

    value: str  # "valid", "failed", "unknown", "skipped"
    sentence: str  # names message, link and likely cause where it failed
    verdicts: tuple[Verdict, ...]

    @property
    def exit_code(self) -> int:
        """0 valid, 1 failed, 2 unknown; a skip alone has judged nothing: 2."""
        return exit_codes.UNKNOWN if self.value == SKIPPED else _CODES[Value(self.value)]

    def to_json(self) -> dict[str, Any]:
        """The judgement as a JSON object, as in verdict.json."""
        return {
            "value": self.value,
            "sentence": self.sentence,
            "exit_code": self.exit_code,
            "verdicts": [each.to_json() for each in self.verdicts],
        }


def judge(record: RunRecord, checks: Mapping[str, Check] | None = None) -> Judgement:
    """Judge a run by `checks` (all of them unless given), its expectations and its end."""
    ended = record.ended
    if ended is not None and ended.how == "not-applicable":
        return Judgement(SKIPPED, f"{ended.detail[:1].upper()}{ended.detail[1:]}.", ())
    chosen = CHECKS if checks is None else dict(checks)
    verdicts = [_run(name, check, record) for name, check in {**chosen, expectations.NAME: expectations.check}.items()]
    wanted = dict(record.started.expects) if record.started else {}
    explained = frozenset(each.check for each in verdicts if is_explained(record, each, wanted))
    counted = [
        count_verdict(record, drop_explained(each, explained), wanted)
        for each in verdicts
        if each.judged or is_awaited(record, wanted.get(each.check))
    ]
    counted += [_no_such_check(name, verdicts) for name in wanted if name not in {each.check for each in verdicts}]
    gaps = _gaps(record)
    return _together([*counted, *gaps, *_end(record, explained)], (*gaps, *verdicts))


def _run(name: str, check: Check, record: RunRecord) -> Verdict:
    try:
        return check(record)
    except Exception as error:  # noqa: BLE001 - whatever a check does, the others still judge
        last = traceback.format_exception_only(error)[-1].strip()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"The check {name} crashed: {last} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
        return Verdict(name, Value.UNKNOWN, text, (Finding(Value.UNKNOWN, text),), 1)


def _is_explained_end(record: RunRecord, explained: frozenset[str]) -> bool:
    """Whether the expectation that ended the scenario is judged by a check that fails as it should."""
    last = next((one for one in reversed(list(record.of(Expectation))) if not one.held), None)
    return last is not None and last.check in explained


def _no_such_check(name: str, verdicts: list[Verdict]) -> Verdict:
    known = ", ".join(each.check for each in verdicts)
    return Verdict(name, Value.UNKNOWN, f"The scenario expects something of a check {name!r}; there are: {known}.")


def _gaps(record: RunRecord) -> list[Verdict]:
    """Events that the history lacks, as the numbers of the others show."""
    findings = tuple(
        Finding(Value.UNKNOWN, f"The history is incomplete: {gap.text}.", cause="its file was changed after the run")
        for gap in record.of(HistoryGap)
    )
    if not findings:
        return []
    return [build_verdict("history", len(findings), findings, "", "")]


def _end(record: RunRecord, explained: frozenset[str]) -> list[Verdict]:
    """What the run's end says by itself."""
    if record.started is None:
        return [Verdict("run", Value.UNKNOWN, "The history does not begin with a run.")]
    ended = record.ended
    if ended is None:
        return [Verdict("run", Value.UNKNOWN, "The run was killed: its history has no end.")]
    if ended.how == "finished":
        return []
    if ended.how == "expectation" and _is_explained_end(record, explained):
        return []
    if ended.how == "expectation":
        return [Verdict("run", Value.FAILED, f"The scenario ended early: {ended.detail}")]
    text = f"{_BROKE_OFF.get(ended.how, ended.how)}: {ended.detail}"
    if found := find_cause_of_end(record, ended.detail):
        text = f"{text}. Likely cause: {found}."
    return [Verdict("run", Value.UNKNOWN, text)]


def _together(counted: list[Verdict], verdicts: tuple[Verdict, ...]) -> Judgement:
    if not any(each.check != "run" for each in counted) and all(each.value is Value.VALID for each in counted):
        return Judgement(Value.UNKNOWN, NOTHING_JUDGED, verdicts)
    for value in _RANKS:
        these = [each for each in counted if each.value is value]
        if these:
            break
    if value is Value.VALID:
        return Judgement(value, " ".join(each.sentence for each in these), verdicts)
    broken_off = [each.sentence for each in counted if each.check == "run" and each.value is Value.UNKNOWN]
    return Judgement(value, " ".join(dict.fromkeys([these[0].sentence, *broken_off])), verdicts)

"""The page of a run, from its folder alone: verdict, what went wrong first, steps, space and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.checks import Finding, Judgement, Verdict
from lab.checks.verdict import pluralize
from lab.checks.wanted import Wanted, count_verdict, describe_wanted
from lab.history.events import Expectation, Sent
from lab.metrics.record import RunRecord
from lab.metrics.stanzas import stanzas
from lab.report import timeline
from lab.report.formats.excerpt import list_excerpt
from lab.report.html import run_tables
from lab.report.html.diagram_data import build_diagram
from lab.report.html.document import format_seconds, render_page
from lab.report.server_logs import LogLine, read_log_lines
from lab.report.space_time import EXPECTED, SpaceTime
from lab.report.timeline import StepSpan
from lab.runner import folders

FINDINGS, EXCERPT, NOTES = 40, 60, 100  # shown on the page: its rest is in the files beside it
_FILES = (folders.REPORT, folders.VERDICT, folders.HISTORY, folders.TOPOLOGY, folders.PLAN)
_SHOWN = {"done": "✓ done", "failed": "✗ failed", "open": "not ended", "valid": "✓ valid", "unknown": "? unknown",
          "held": "✓ held", "none": "nothing judged", EXPECTED: "✓ failed, as expected"}  # fmt: skip


def write_page(folder: Path, record: RunRecord, judgement: Judgement) -> Path:
    """Write the page of a run into its folder; its path. Raises UserError if there is a folder of its name."""
    path = folder / folders.PAGE
    files = [name for name in _FILES if (folder / name).is_file()]
    folders.write(path, render(record, judgement, read_log_lines(folder, record), files))
    return path


def render(
    record: RunRecord, judgement: Judgement, logs: list[LogLine] | None = None, files: list[str] | None = None
) -> str:
    """The whole file. `logs` are lines of servers' logs, by default those in the history; `files` lie beside it."""
    diagram = SpaceTime(record, judgement)
    places = {line.path.sent: index for index, line in enumerate(diagram.lines) if line.path.sent is not None}
    started = record.started
    name = started.scenario if started else "a run"
    return render_page(
        "run.html",
        styles=("run.css",),
        scripts=("diagram.js",),
        title=f"{name} on {record.topology.name}",
        about=f"{started.title}{f' [{started.spec}]' if started.spec else ''}" if started else "",
        value=judgement.value,
        sentence=judgement.sentence,
        figures=_figures(record),
        wrong=_first_wrong(diagram),
        steps=_steps(diagram, places),
        checks=[_check(diagram, each, places) for each in judgement.verdicts],
        diagram=build_diagram(diagram, read_log_lines(None, record) if logs is None else logs),
        **run_tables.build_tables(diagram, places),
        facts=_facts(record),
        command=started.command if started else "",
        notes=[one.text for one in timeline.list_notes(record)][:NOTES],
        files=files or [],
    )


def _figures(record: RunRecord) -> list[tuple[str, object]]:
    messages = [sent for _, sent in record.messages]
    arrived, bounced = (sum(1 for one in messages if found(one)) for found in (record.arrivals, record.bounces.get))
    neither = sum(1 for one in messages if not record.arrivals(one) and not record.bounces.get(one))
    return [
        ("messages", len(messages)),
        ("delivered", arrived),
        ("bounced", bounced),
        *([("neither", neither)] if neither else []),
        ("stanzas seen by servers", stanzas(record)),
        ("length", format_seconds(timeline.compute_length(record))),
    ]


def _first_wrong(diagram: SpaceTime) -> dict[str, Any] | None:
    """The first message that went wrong, explained; else what went wrong that is no message; None if nothing did."""
    index = diagram.first_wrong
    if index is None:
        return _wrong_otherwise(diagram)
    line = diagram.lines[index]
    sent = line.path.sent
    assert sent is not None  # only messages are judged
    step = next((one.text for one in reversed(diagram.steps) if _during(one, sent.at)), "")
    excerpt = list_excerpt(diagram.record, line.findings[0][1])
    return {
        "index": index,
        "value": line.value,
        "message": sent.message or "A message without an id",
        "sender": sent.sender,
        "receiver": sent.receiver,
        "at": format_seconds(sent.at - diagram.began),
        "step": f", in the step “{step}”" if step else "",
        "outcome": line.outcome,
        "findings": [
            {"check": check, "sentence": one.sentence, "terms": _explain(one)} for check, one in line.findings
        ],
        "excerpt": [(f"{seconds:+.3f} s", text) for seconds, text in excerpt[:EXCERPT]],
    }


def _wrong_otherwise(diagram: SpaceTime) -> dict[str, Any] | None:
    """The first finding that counts and is about no message, explained; None without one."""
    if diagram.judgement.value != "failed":
        return None
    for verdict in diagram.judgement.verdicts:
        if count_verdict(diagram.record, verdict, _wanted(diagram.record)).value.value != "failed":
            continue
        for one in verdict.findings:
            if one.value.value == "failed":
                excerpt = list_excerpt(diagram.record, one)
                return {
                    "index": None, "value": "failed",
                    "findings": [{"check": verdict.check, "sentence": one.sentence, "terms": _explain(one)}],
                    "excerpt": [(f"{seconds:+.3f} s", text) for seconds, text in excerpt[:EXCERPT]],
                }  # fmt: skip
    return None


def _wanted(record: RunRecord) -> dict[str, Wanted]:
    return dict(record.started.expects) if record.started else {}


def _during(step: StepSpan, at: float) -> bool:
    return step.began <= at and (step.ended is None or at <= step.ended)


def _explain(finding: Finding) -> list[tuple[str, str]]:
    """What is known of the reason of a finding."""
    said = (
        ("likely cause", finding.cause),
        ("last seen", finding.last_hop),
        ("between", " – ".join(finding.servers)),
    )
    return [(name, text) for name, text in said if text]


# -- steps and checks -------------------------------------------------------------------------------------------


def _steps(diagram: SpaceTime, places: Mapping[Sent, int]) -> list[dict[str, Any]]:
    """The steps as a tree, each with its expectations; expectations outside of steps come last."""
    top: list[dict[str, Any]] = []
    stack: list[tuple[int, dict[str, Any]]] = []
    by_text: dict[str, dict[str, Any]] = {}
    for one in diagram.steps:
        state = "failed" if one.failed else "open" if one.ended is None else "done"
        step = {
            "text": one.text, "state": state, "shown": _SHOWN[state], "children": [], "expected": [],
            "at": f"from {format_seconds(one.began - diagram.began)}",
        }  # fmt: skip
        while stack and stack[-1][0] >= one.depth:
            stack.pop()
        (stack[-1][1]["children"] if stack else top).append(step)
        stack.append((one.depth, step))
        by_text.setdefault(one.text, step)
    others: list[dict[str, Any]] = []
    for event in diagram.record.of(Expectation):
        shown = _expectation(diagram, event, places)
        (by_text[event.step]["expected"] if event.step in by_text else others).append(shown)
    if others:
        failed = any(one["state"] == "failed" for one in others)
        top.append(
            {"text": "Expected outside of steps", "state": "failed" if failed else "done", "children": [], "at": "",
             "shown": _SHOWN["failed" if failed else "done"], "expected": others}
        )  # fmt: skip
    return top


def _expectation(diagram: SpaceTime, event: Expectation, places: Mapping[Sent, int]) -> dict[str, Any]:
    state = "held" if event.held else "failed"
    late = ", in time" if event.timed_out else ""
    text = f"expected {event.expected}{late}" + ("" if event.held else f", got {event.actual}")
    sent = diagram.record.with_id(event.message)
    return {
        "state": state, "shown": _SHOWN[state], "text": text, "message": event.message or "",
        "index": places.get(sent) if sent is not None else None,
    }  # fmt: skip


def _check(diagram: SpaceTime, verdict: Verdict, places: Mapping[Sent, int]) -> dict[str, Any]:
    wanted = _wanted(diagram.record)
    state = verdict.value.value if verdict.judged else "none"
    if verdict.value.value == "failed" and count_verdict(diagram.record, verdict, wanted).value.value == "valid":
        state = EXPECTED
    return {
        "name": verdict.check,
        "state": state,
        "shown": _SHOWN[state],
        "wanted": f" (must be {describe_wanted(wanted[verdict.check])})" if verdict.check in wanted else "",
        "sentence": verdict.sentence,
        "count": pluralize(len(verdict.findings), "finding"),
        "left": len(verdict.findings) - FINDINGS,
        "findings": [_finding(diagram.record, one, places) for one in verdict.findings[:FINDINGS]],
    }


def _finding(record: RunRecord, finding: Finding, places: Mapping[Sent, int]) -> dict[str, Any]:
    sent = record.with_id(finding.message)
    return {
        "sentence": finding.sentence,
        "index": places.get(sent) if sent is not None else None,
        "terms": _explain(finding),
        "stanzas": finding.stanzas,
    }


# -- the run itself ---------------------------------------------------------------------------------------------


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    started = record.started
    found = [("topology", f"{record.topology.name}: {record.topology.teaches}".rstrip(": "))]
    if started is not None:
        found.append(("started", datetime.fromtimestamp(started.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")))
    found.append(("length", format_seconds(timeline.compute_length(record))))
    if record.ended is not None:
        found.append(("ended", f"{record.ended.how}{record.ended.detail and ': '}{record.ended.detail}"))
    found.append(("runtime", record.plan.facts.runtime))
    found += list(started.machine) if started is not None else []
    found += [("servers", ", ".join(dict.fromkeys(_versions(record))))]
    seeds = [f"{one.name}: {one.seed}" for one in record.topology.faults]
    found.append(("seeds of faults", ", ".join(seeds) or "no declared faults: nothing was drawn"))
    return found


def _versions(record: RunRecord) -> Iterator[str]:
    for server in record.topology.servers:
        yield f"{server.software} {server.version}".strip()

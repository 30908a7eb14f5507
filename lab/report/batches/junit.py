"""The results of several runs as JUnit XML, which CI services show: a suite per topology, a case per scenario.

The elements are those that Jenkins, GitLab and GitHub's actions read: testsuites, testsuite, testcase, failure, error,
skipped, system-out. A run that judged nothing is an error, as is a lab that was never ready: neither has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from lab import exit_codes
from lab.report.batches.reports import group_by_topology, read_report
from lab.runner.batch import BatchResult
from lab.system.terminal import escape_unprintable


def render(results: Sequence[BatchResult]) -> str:
    """The document, with an XML declaration."""
    root = ET.Element("testsuites", {"name": "xmpplab", **_count(results)})
    for topology, ones in group_by_topology(results).items():
        suite = ET.SubElement(root, "testsuite", {"name": escape_unprintable(topology), **_count(ones)})
        for one in ones:
            _add_case(suite, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _count(results: Sequence[BatchResult]) -> dict[str, str]:
    kinds = [_name_outcome(one) for one in results]
    counts = {"tests": len(results), **{f"{kind}s": kinds.count(kind) for kind in ("failure", "error")}}
    return {
        **{name: str(count) for name, count in counts.items()},
        "skipped": str(kinds.count("skipped")),
        "time": f"{sum(one.seconds for one in results):.3f}",
    }


def _name_outcome(result: BatchResult) -> str:
    """The element that a result has below its testcase; "" if it passed."""
    if result.skipped:
        return "skipped"
    if result.exit_code == exit_codes.VALID:
        return ""
    return "failure" if result.exit_code == exit_codes.FAILED else "error"


def _add_case(suite: ET.Element, result: BatchResult) -> None:
    topology, scenario = escape_unprintable(result.topology), escape_unprintable(result.scenario)
    case = ET.SubElement(
        suite, "testcase", classname=f"xmpplab.{topology}", name=scenario, time=f"{result.seconds:.3f}"
    )
    if outcome := _name_outcome(result):
        said = escape_unprintable(result.sentence or result.value)
        element = ET.SubElement(case, outcome, message=said)
        if outcome != "skipped":
            element.set("type", result.value)
            element.text = read_report(result) or said
    if result.folder:
        ET.SubElement(case, "system-out").text = escape_unprintable(str(result.folder))

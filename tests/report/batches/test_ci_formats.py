"""Results of several runs for CI: JUnit XML and Markdown."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.report.batches import junit, markdown
from lab.runner import folders
from lab.runner.batch import BatchResult

ODD = "</script>\x1b[31m|`**x**<img src=x onerror=alert(1)>\n# head"


def result(value, code, *, scenario="one", topology="pair", sentence="", folder=None):
    return BatchResult(scenario, topology, value, code, 1.5, folder, value == "skipped", sentence)


@pytest.fixture
def results(tmp_path):
    (tmp_path / folders.REPORT).write_text("FAILED: lost\n````\nmore\n")
    return [
        result("valid", 0, folder=Path("runs/1")),
        result("failed", 1, scenario="two", sentence="Message m1 is lost.", folder=tmp_path),
        result("unknown", 2, topology="ring", sentence="Nothing was judged."),
        result("never ready", 3, topology="ring", scenario="two", sentence="ring was never ready."),
        result("skipped", 2, topology="line", sentence="No hub."),
    ]


def test_junit_has_a_suite_for_each_topology_and_counts(results):
    root = ET.fromstring(junit.render(results))
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")] == [
        "5",
        "1",
        "2",
        "1",
        "7.500",
    ]
    assert [suite.get("name") for suite in root] == ["pair", "ring", "line"]
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert cases["xmpplab.pair", "one"].find("system-out").text == "runs/1"
    assert len(cases["xmpplab.pair", "one"]) == 1
    failure = cases["xmpplab.pair", "two"].find("failure")
    assert failure.get("message") == "Message m1 is lost."
    assert failure.text.startswith("FAILED: lost")
    assert cases["xmpplab.ring", "one"].find("error").get("type") == "unknown"
    assert cases["xmpplab.ring", "two"].find("error").text == "ring was never ready."
    assert cases["xmpplab.line", "one"].find("skipped").get("message") == "No hub."


def test_markdown_has_a_cell_for_each_run_and_explains_what_is_not_valid(results):
    text = markdown.render(results)
    assert text.startswith("## xmpplab: 1 of 4 runs are valid. 1 skipped")
    assert "| scenario | pair | ring | line |" in text
    assert "| one | valid | **unknown** | skipped |" in text
    assert "| two | **failed** | **never ready** |  |" in text
    assert text.count("### ") == 3
    assert "`````text\nFAILED: lost\n````\nmore\n`````" in text  # the report's own fence does not end it


def test_one_scenario_twice_on_a_topology_hides_nothing():
    text = markdown.render([result("failed", 1), result("valid", 0)])
    assert "| one | **failed**, valid |" in text


def test_text_of_others_has_no_meaning_in_either():
    odd = [result("failed", 1, scenario=ODD, topology=ODD, sentence=ODD)]
    case = ET.fromstring(junit.render(odd)).find(".//failure")
    assert "\\x1b[31m" in case.get("message")
    lines = markdown.render(odd).splitlines()
    assert not [line for line in lines if "<img" in line.replace("\\<", "")]
    assert not [line for line in lines if line.startswith("# ")]
    assert len([line for line in lines if line.startswith("|")]) == 3

"""The page of several runs."""

from pathlib import Path

from lab.report.html.matrix_page import render, write_page
from lab.runner.batch import BatchResult
from tests.report.html.test_run_page import EVIL, LOADING, Parsed


def result(scenario="everyone_writes", topology="pair", value="valid", code=0, **more):
    return BatchResult(scenario, topology, value, code, more.pop("seconds", 1.0), **{"folder": None, **more})


def test_each_cell_has_a_verdict_and_leads_to_its_run(tmp_path):
    runs = tmp_path / "runs"
    run = runs / "20260102-030405-everyone_writes-pair"
    run.mkdir(parents=True)
    (run / "page.html").write_text("x")
    results = [
        result(folder=run),
        result(topology="ring-4", value="failed", code=1, folder=runs / "gone", sentence="Message m1 is lost."),
        result("omemo_first_contact", value="skipped", code=2, skipped=True),
        result("omemo_first_contact", topology="ring-4", value="never ready", code=3, sentence="s1 did not start."),
    ]
    path = write_page(runs, results)
    parsed = Parsed(path.read_text())
    assert path.parent == runs and path.name.endswith("-matrix.html")
    assert "FAILED 1 of 3 runs are valid. 1 skipped" in parsed.text
    assert "scenario pair ring-4 everyone_writes ✓ valid 1.0 s ✗ failed 1.0 s" in parsed.text
    assert "omemo_first_contact – skipped 1.0 s ? never ready 1.0 s" in parsed.text
    assert "✗ failed everyone_writes on ring-4: Message m1 is lost." in parsed.text
    assert [value for tag, name, value in parsed.attributes if name == "href"] == [
        "20260102-030405-everyone_writes-pair/page.html"
    ]
    assert write_page(runs, results) != path, "the second of one second has a name of its own"


def test_a_scenario_that_ran_on_one_topology_only_leaves_the_others_empty(tmp_path):
    text = Parsed(render([result(), result("other", "ring-4")], tmp_path)).text
    assert "everyone_writes ✓ valid 1.0 s – other – ✓ valid 1.0 s" in text


def test_no_injection_point_breaks_out(tmp_path):
    folder = tmp_path / EVIL.replace("/", "_")
    folder.mkdir()
    (folder / "page.html").write_text("x")
    parsed = Parsed(render([result(EVIL, EVIL, EVIL, 1, folder=folder, sentence=EVIL)], Path(tmp_path)))
    assert "script" not in parsed.tags and "img" not in parsed.tags and not LOADING & {*parsed.tags}
    assert not [one for one in parsed.attributes if one[1].startswith("on") or one[1] in ("src", "style")]
    assert parsed.text.count("alert(1)") >= 4

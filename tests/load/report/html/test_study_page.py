"""A study's folder and page: the table, its drawings, what was not measured; and `xmpplab report` on such folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.errors import UserError
from lab.load.analysis import study_folder
from lab.load.analysis.study import METRICS, StudyRun, compute_figures, compute_graph_metrics
from lab.load.report.html.study_page import render_page, write_page
from lab.load.report.study import judge_study, render
from lab.topology.facts import compute_facts
from lab.topology.files import load
from tests.load.report.html.test_load_page import EVIL, HARMLESS, Parsed, outcome, told
from tests.load.synthetic_results import result

TOPOLOGIES = ("ring:4", "star:4", "full-mesh:4")


MORE = (*TOPOLOGIES, "line:4", "line:5")

CAPTION = "Means over the seeds. After each mean: of fewer than 5 runs the least and the greatest value."


def study(
    lost: int = 0, *, limited: bool = False, planned: int = 6, names: Sequence[str] = TOPOLOGIES
) -> dict[str, Any]:
    """Each topology with two seeds; delays of 10 and 12 ms times the diameter."""
    cells, runs = [], []
    for seed, p99 in enumerate((0.010, 0.012)):
        for name in names:
            of = compute_facts(load(name))
            measured = result(100, p99 * of.diameter, lost=lost, cores={"s1": 0.2, "s2": 0.1})
            cells.append(StudyRun(name, "prosody", seed, compute_graph_metrics(load(name)), compute_figures(measured)))
            folder = f"{len(cells):03}-{name.replace(':', '-')}-{seed}"
            one = {"folder": folder, "topology": name, "seed": seed, "measured": True}
            runs.append({**one, "limited": limited and not seed})
    return study_folder.build_contents({"load": "neighbours", "users": 8}, planned, runs, cells)


def test_the_page_has_table_drawings_and_a_link_to_each_run() -> None:
    data = study()
    parsed = Parsed(render_page(data))
    assert parsed.texts["p"][0] == "VALID All 6 runs were measured."
    assert parsed.texts["h2"] == ["Delay, p50", "Delay, p99", "Lost or bounced", "Cost", "Runs"]
    assert parsed.tags["svg"] == 3 and "It was 0 in every run." in parsed.texts["figcaption"]
    head, *rows = parsed.tables[
        "Means over the seeds. After each mean: of fewer than 5 runs the least and the greatest value."
    ]
    assert [(row[0], row[head.index("diameter")]) for row in rows] == [
        ("ring:4", "2"),
        ("star:4", "2"),
        ("full-mesh:4", "1"),
    ]
    means = [row[head.index("p99 ms")] for row in rows]
    assert means == ["22 (20 to 24)", "22 (20 to 24)", "11 (10 to 12)"]
    assert [row[head.index("seeds")] for row in rows] == ["0, 1"] * 3
    links = [value for tag, name, value in parsed.attributes if (tag, name) == ("a", "href")]
    by_row = [one for name in TOPOLOGIES for one in data["runs"] if one["topology"] == name]
    assert links[:12] == [f"{one['folder']}/page.html" for one in (*by_row, *data["runs"])]
    assert "full-mesh:4 (prosody): 11 (10 to 12) at diameter 1" in parsed.texts["title"]
    assert not any(name.startswith("Rank correlation") for name in parsed.tables), "three rows prove nothing"
    assert set(parsed.tags) <= HARMLESS


def test_from_five_rows_on_figures_are_correlated_with_metrics() -> None:
    parsed = Parsed(render_page(study(planned=10, names=MORE)))
    (_, first, *_) = parsed.tables["Rank correlation (Spearman) of the rows above: +1 rises with it, −1 falls"]
    assert first[:3] == ["diameter", "+1.00", "+1.00"]


def test_a_row_of_which_nothing_was_measured_has_its_place_in_table_and_csv(tmp_path: Path) -> None:
    data = study()
    bare = {name: data["table"][0][name] for name in ("topology", "software", "servers", "links", *METRICS)}
    data["table"].insert(0, {**bare, "runs": 0})
    study_folder.write_study(tmp_path, data)
    head, first, *_ = (tmp_path / "study.csv").read_text().splitlines()
    assert "p99_ms" in head.split(",") and first.endswith(",,")
    assert render(data).splitlines()[1].endswith("-")
    assert Parsed(render_page(data)).tags["svg"] == 3


def test_software_stands_beside_software_for_each_topology() -> None:
    names = [f"{name} {kind}" for name in ("ring:4", "star:4") for kind in ("prosody@13.0", "./mine.yaml")]
    cells = []
    for number, name in enumerate(names):
        graph, measured = compute_graph_metrics(load(name.partition(" ")[0])), result(100, 0.010 + number / 100)
        cells += [StudyRun(name, "prosody", seed, graph, compute_figures(measured)) for seed in range(2)]
    arguments = {"software": ["prosody@13.0", "./mine.yaml"]}
    parsed = Parsed(render_page(study_folder.build_contents({}, 8, [], cells, arguments)))
    assert "Delay, p99, by software" in parsed.texts["h2"]
    tips = [value for tag, name, value in parsed.attributes if name == "aria-label"] + parsed.texts["title"]
    assert {"ring:4, prosody@13.0: 10 (10 to 10)", "star:4, ./mine.yaml: 40 (40 to 40)"} <= {*tips}, tips
    assert set(parsed.tags) <= HARMLESS
    one = Parsed(render_page(study_folder.build_contents({}, 8, [], cells[:2], {"software": ["prosody@13.0"]})))
    assert not any("by software" in title for title in one.texts["h2"])


def test_what_was_not_measured_or_the_generators_is_said() -> None:
    parsed = Parsed(render_page(study(lost=4, limited=True, planned=9)))
    said = parsed.texts["p"][0]
    assert said.startswith("UNKNOWN 6 of 9 runs were measured. In 3 of 6 runs the generator was the limit")
    assert parsed.tags["svg"] == 4
    head, *rows = parsed.tables[
        "Means over the seeds. After each mean: of fewer than 5 runs the least and the greatest value."
    ]
    assert [row[head.index("lost or bounced %")] for row in rows] == ["0.99 (0.99 to 0.99)"] * 3
    empty = Parsed(render_page(study_folder.build_contents({}, 4, [], [])))
    assert "Nothing was measured: there is nothing to draw." in empty.texts["p"] and "svg" not in empty.tags


def test_a_study_that_measured_its_generator_is_not_valid() -> None:
    value, said = judge_study(study(limited=True))
    assert value == "unknown"
    assert said.startswith("All 6 runs were measured. In 3 of 6 runs the generator was the limit")
    assert judge_study(study())[0] == "valid"
    assert Parsed(render_page(study(limited=True))).texts["p"][0].startswith("UNKNOWN")


def test_a_name_cannot_break_out_of_a_studys_page() -> None:
    data = json.loads(json.dumps(study()).replace("ring:4", json.dumps(EVIL)[1:-1]).replace("neighbours", "<script>"))
    parsed = Parsed(render_page(data))
    assert set(parsed.tags) <= HARMLESS
    assert EVIL in parsed.texts["th"]


def test_a_study_is_kept_and_read_again(tmp_path: Path) -> None:
    data = study(lost=1)
    study_folder.write_study(tmp_path, data)
    assert study_folder.read_study(tmp_path) == data
    assert (tmp_path / "study.csv").read_text().count("\n") == 4
    assert write_page(tmp_path).stat().st_mode & 0o777 == 0o600
    (tmp_path / "study.json").write_text('{"version": 0}')
    with pytest.raises(UserError, match="version 0"):
        study_folder.read_study(tmp_path)


def test_report_tells_loads_and_studies_and_draws_their_pages_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("load", "study"):
        Path(name).mkdir()
    told(tmp_path / "load", outcome())
    study_folder.write_study(tmp_path / "study", study(names=MORE))
    for name, said in (
        ("load", "VALID: federation is within its bounds (no loss)"),
        ("study", "rank correlation with diameter"),
    ):
        assert run(app, ["report", name]) == 0
        text = capsys.readouterr().out
        assert said in text
        assert text.splitlines()[-1] == (tmp_path / name / "page.html").as_uri()
        assert (tmp_path / name / "page.html").is_file()
        assert run(app, ["report", name, "-f", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["page"] == str(tmp_path / name / "page.html")
    assert run(app, ["check", "load"]) == 64
    assert "use `xmpplab report`" in capsys.readouterr().err

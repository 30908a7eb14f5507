"""A load's page: whole, true to the result, offline, and deaf to whatever a name says."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lab.load.analysis.thresholds import judge_load
from lab.load.metrics import rows as tables
from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.result import Result, Usage, merge
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, add_faults, read
from lab.load.model.job import Job
from lab.load.report.html import document, series
from lab.load.report.html.load_page import render_page, write_page
from lab.load.report.html.page_data import LoadPageData, read_page_data
from lab.topology.spec import Link, Server, Topology
from tests.load.samples import steady_run

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'
HEADINGS = [
    "Settings", "Topology heat map", "Throughput", "Delay over time", "Percentiles by route", "Processors",
    "Memory", "Bounced and lost", "Bytes on links", "Figures",
]  # fmt: skip
#: All that a page may be made of: nothing that runs, fetches, embeds or submits.
HARMLESS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "strong", "ul", "li", "b", "dl", "dt", "dd",
    "figure", "figcaption", "svg", "g", "path", "line", "text", "rect", "defs", "lineargradient", "stop", "clippath",
    "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "a", "ol",
}  # fmt: skip


class Parsed(HTMLParser):
    """A page's elements, headings, tables and text, as a browser would have them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []  # element, name, value
        self.texts: dict[str, list[str]] = {}  # by element
        self.tables: dict[str, list[list[str]]] = {}  # by caption, the head first
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.texts.setdefault(tag, []).append("")
        self._open.append(tag)
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables[self.texts["caption"][-1]] = self._rows
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data
        if {"td", "th"} & {*self._open}:
            self._rows[-1][-1] += data


def outcome(**more: Any) -> LoadOutcome:
    """Six seconds, two of them warm-up, at 100/s, with a bounce; one server, one worker."""
    result = merge(steady_run())
    result.routes["a->b"].bounced["remote-server-timeout"] += 3
    result.routes["a->b"].expected += 3
    result.usage["a"] = [Usage(float(at), 0.25 * at, 50 << 20) for at in range(7)]
    result.links["a->b"] = 123_456
    generators = {"worker 0": [Usage(float(at), 0.25 * at, 7 << 20) for at in range(7)]}
    return LoadOutcome(**{"result": result, "settled": True, "generators": generators, **more})


def told(folder: Path, of: LoadOutcome, name: str = "federation", lab: str = "pair") -> LoadPageData:
    job = Job(lab, {"users": 10, "seconds": 4.0}, folder=folder, name=name, bounds={"loss": 0.0})
    asked = {"users": 10, "traffic": "neighbours", "arrivals": "100/s", "seconds": 4.0, "warmup": 2.0, "tick": 0.005}
    with RunWriter(job) as writer:
        writer.write_event("{}", {"event": "note", "text": f"relayed links: a - b {name}"})
        writer.finish(of)
    record = read(folder)
    servers = tuple(Server(one, f"{one}.test", "prosody", "13.0") for one in ("a", "b"))
    return LoadPageData(
        record, judge_load(record), Topology("pair", "", servers, (Link("a", "b"),)), asked, 1_800_000_000.0
    )


@pytest.fixture
def data(tmp_path: Path) -> LoadPageData:
    return told(tmp_path, outcome())


def test_the_page_is_whole_and_leads_nowhere(data: LoadPageData) -> None:
    html = render_page(data)
    parsed = Parsed(html)
    assert parsed.texts["h1"] == ["federation on pair"]
    assert parsed.texts["h2"] == HEADINGS
    assert parsed.texts["p"][0].startswith("VALID federation is within its bounds (no loss): 400 of 403 received")
    assert "relayed links: a - b" in html and "The generator was not the limit" in html
    assert set(parsed.tags) <= HARMLESS
    assert not [one for one in parsed.attributes if one[1] in ("src", "style", "srcset") or one[1].startswith("on")]
    assert {v for _, name, v in parsed.attributes if name == "href"} <= {
        path.name for path in data.record.folder.iterdir()
    }
    assert not re.search(r"https?:|//|@import|url\((?!#)", html.replace("<!doctype html>", ""))
    (policy,) = [
        value for tag, name, value in parsed.attributes if (tag, name) == ("meta", "content") and "-src" in value
    ]
    digest = base64.b64encode(hashlib.sha256(parsed.texts["style"][0].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_drawings_keep_to_themselves(data: LoadPageData) -> None:
    """What one refers to is its own: gradients and clips of several would else be mixed up."""
    html = render_page(data)
    ids = re.findall(r' id="([^"]+)"', html)
    assert ids and len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_the_figures_are_those_of_the_result(data: LoadPageData) -> None:
    parsed = Parsed(render_page(data))
    (head, *rows) = next(rows for caption, rows in parsed.tables.items() if caption.startswith("Routes"))
    expected = tables.list_routes(data.record.result)
    assert [row[0] for row in rows] == ["a->b", "all"]
    for row, route in zip(rows, expected, strict=True):
        assert [float(row[head.index(name)]) for name in ("sent", "expected", "received", "lost", "p50", "p99.9")] == [
            route[name] for name in ("sent", "expected", "received", "lost", "p50_ms", "p99.9_ms")
        ]
    (_, *seconds) = next(rows for caption, rows in parsed.tables.items() if caption.startswith("Delays"))
    assert [row[:5] for row in seconds] == [
        [f"{n}–{n + 1} s", "warm-up" if n < 2 else "steady", "100.0", "100.0", "100.0"] for n in range(6)
    ]
    assert parsed.tables["Processes"][1:] == [["a", "0.250", "2.500", "50"], ["worker 0", "0.250", "2.500", "7"]]
    assert parsed.tables["Bounced, by route and condition"][1:] == [["a->b", "remote-server-timeout", "3"]]
    assert parsed.tables["Links with a relay"][1:] == [["a->b", "123456", "30.9", "309"]]


def test_tooltips_have_the_values(data: LoadPageData) -> None:
    titles = Parsed(render_page(data)).texts["title"]
    assert "2.5 s: 100.0 per s intended" in titles
    assert "2.5 s: p99: 10.0 ms" in titles
    assert "a->b: 99 % within 10.0 ms" in titles
    assert "a (prosody): 0.25 cores" in titles
    assert any(one.startswith("a->b: 100.0 per s, 400 sent, 400 received, 0 lost, 3 bounced") for one in titles)
    assert "b->a: nothing was sent" in titles


def test_a_name_cannot_break_out(tmp_path: Path) -> None:
    hostile = outcome(interrupted=EVIL, gone=[(EVIL, EVIL)], missing=[{"sender": EVIL}])
    result = hostile.result
    result.routes[f"{EVIL}->b"] = result.routes["a->b"]
    result.routes["a->b"].bounced[EVIL] += 1
    result.usage[EVIL] = result.usage.pop("a")
    result.links[f"{EVIL}->b"] = 1
    data = told(tmp_path, hostile, EVIL, EVIL)
    servers = tuple(Server(one, f"{one}.test", EVIL, EVIL) for one in (EVIL, "b"))
    evil = Topology(EVIL, EVIL, servers, (Link(EVIL, "b"),))
    parsed = Parsed(
        render_page(LoadPageData(data.record, data.verdict, evil, {**data.asked, "traffic": EVIL, "body": EVIL}, 0.0))
    )
    assert set(parsed.tags) <= HARMLESS
    assert not [one for one in parsed.attributes if one[1].startswith("on") or one[1] == "src"]
    assert parsed.texts["h1"] == [f"{EVIL} on {EVIL}"]
    assert any(EVIL[:20] in one for one in parsed.texts["text"]), "the drawings have it, as it is"


def test_that_test_would_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "escape", str)
    assert "script" in Parsed(render_page(told(tmp_path, outcome(), EVIL))).tags


@pytest.mark.parametrize("reason", ["", "ended by SIGINT"])
def test_a_load_that_measured_nothing_says_so(tmp_path: Path, reason: str) -> None:
    parsed = Parsed(render_page(told(tmp_path, LoadOutcome(Result(), reason))))
    assert parsed.texts["p"][0].startswith("UNKNOWN federation measured nothing")
    assert "Nothing was measured: there is nothing to draw." in parsed.texts["p"]
    assert "svg" not in parsed.tags
    assert ("ul", "class", "tiles") not in parsed.attributes, "figures of nothing"


def test_a_load_that_was_interrupted_in_its_warm_up_shows_what_there_is(tmp_path: Path) -> None:
    parsed = Parsed(render_page(told(tmp_path, outcome(result=merge(steady_run()[:1]), interrupted="ended by SIGINT"))))
    assert "UNKNOWN" in parsed.texts["p"][0] and "ended by SIGINT" in parsed.texts["p"][0]
    assert "Nothing was received in the steady state." in parsed.texts["figcaption"]
    assert parsed.tags["svg"] >= 2


def test_what_cannot_be_drawn_says_why(data: LoadPageData) -> None:
    bare = LoadPageData(data.record, data.verdict, None, {"arrivals": "replay:/gone.csv"}, None)
    data.record.result.links.clear()
    data.record.result.routes["a->b"].bounced.clear()
    captions = "\n".join(Parsed(render_page(bare)).texts["figcaption"])
    for said in ("has no plan", "It is not known what was due", "direct links have none", "nothing was lost"):
        assert said in captions
    assert "intended" not in {
        row["series"] for row in series.list_throughput(bare, series.list_time_bins(bare.record.result))
    }


def test_faults_are_bands_with_a_legend_and_a_table(tmp_path: Path) -> None:
    told(tmp_path, outcome())
    cut = FaultRecord("storm", "partition", 1, ("a", "b"), (("a", "b"),), 3.0, 4.5, bounced_during=7, recovery=0.5)
    end = FaultRecord(EVIL, "kill", 2, ("b",), (), 5.0, None, unknown="it acted until the end")
    add_faults(tmp_path, [cut, end])
    parsed = Parsed(render_page(read_page_data(tmp_path)))
    assert set(parsed.tags) <= HARMLESS
    titles, texts = parsed.texts["title"], parsed.texts["text"]
    assert titles.count("storm: from 3.0 s to 4.5 s") >= 3, "a band in each chart over time"
    assert texts.count("storm") == texts.count("faults") >= 3, "with its legend"
    table = next(rows for caption, rows in parsed.tables.items() if caption.startswith("Declared faults"))
    assert table[1] == ["storm", "partition", "a->b", "1.0", "2.5", "0", "7", "0", "0", "0.5"]
    assert table[2][0] == f"{EVIL} (2)" and table[2][-1] == "it acted until the end"


def test_a_page_is_written_from_the_folder_alone_and_is_its_owners(tmp_path: Path) -> None:
    told(tmp_path, outcome())
    started = '{"event":"started","at":1800000000.0,"seconds":4.0,"warmup":2.0,"load":{"arrivals":"100/s","body":64}}\n'
    (tmp_path / "samples.jsonl").write_text('{"event":"note"}\n' + started)
    assert read_page_data(tmp_path).asked["body"] == 64
    path = write_page(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "started</dt><dd>2027-01-15 08:00:00 UTC" in path.read_text()

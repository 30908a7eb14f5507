"""The page of a run: whole, true to the record, offline, and deaf to whatever a peer says."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import stat
from html.parser import HTMLParser

import pytest

from lab.checks import judge
from lab.history.events import Expectation, ServerSaw, Step, TableRecorded
from lab.report.html import diagram_data, document
from lab.report.html.diagram_data import shorten_opaque
from lab.report.html.run_files import write_reports
from lab.report.html.run_page import write_page
from tests.checks.sample_history import SampleHistory
from tests.report.html.run_histories import page_of, record_of, tell_hostile, tell_loss, tell_story, write_run

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u202e</script>'
#: What a page may be made of, beside the tags of text.
LOADING = {"link", "iframe", "object", "embed", "video", "audio", "base", "source", "track", "frame"}


class Parsed(HTMLParser):
    """A page's elements, attributes and texts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & {*self._open}:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def data_of(html):
    packed = re.search(r'id="diagram-data">([A-Za-z0-9+/=]+)</script>', html)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_verdict_comes_first_and_the_first_wrong_message_is_explained():
    text = Parsed(page_of(tell_loss())).text
    assert text.index("FAILED Message m1") < text.index("The first message that went wrong") < text.index("Steps and")
    after = text[text.index("The first message that went wrong") :]
    assert "m1 from alice@island.test/phone to bob@home.test, 0.080 s after the start, in the step “everyone" in after
    assert "likely cause home logged: disk full" in after and "+0.200 s home logged (error): disk full" in after


def test_a_valid_run_has_no_wrong_message():
    html = page_of(tell_story().finish())
    assert "The first message that went wrong" not in html and data_of(html)["wrong"] == -1


def test_of_several_the_first_that_was_sent_is_the_first_wrong():
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(3):
        told.say(alice, bob)
    told.finish()
    for name in ("m3", "m2"):
        told.drop(type(next(one for one in told.events if one.kind == "delivered")), message=name)
    assert "<strong>m2</strong> from alice@island.test/phone" in page_of(told)


def test_what_went_wrong_without_a_message_is_explained_as_well():
    told = tell_story()
    told.expect(held=False, expected="'match'", actual="'mismatch'")
    text = Parsed(page_of(told.finish())).text
    assert "What went wrong expectations: Expected" in text and "'mismatch'" in text
    assert "The first message" not in text


def test_steps_contain_what_was_expected_in_them():
    told = tell_story()
    told.add(Step, text="outer", phase="begin")
    told.add(Step, text="inner", phase="begin")
    told.add(Expectation, expected="'match'", actual="'mismatch'", held=False, step="inner")
    told.add(Step, text="inner", phase="end", failed=True)
    text = Parsed(page_of(told.finish())).text
    assert "✓ done everyone writes from 0.070 s ✓ held expected delivered m1" in text
    assert "not ended outer" in text and "✗ failed inner" in text
    assert text.index("not ended outer") < text.index("✗ failed inner") < text.index("expected 'match', got 'mismatch'")


def test_messages_bounces_names_streams_and_the_run_are_there():
    text = Parsed(page_of(tell_loss())).text
    for part in (
        "✓ delivered to alice/phone after 0.050 s",
        "alice/phone → island +10.0 ms → home +20.0 ms",
        "m3 public.test remote-server-not-found",
        "island _xmpp-server._tcp.home.test SRV SRV 0 0 20000 127.80.0.2. 1",
        "island home.test server island TLSv1.3 EXTERNAL 0.040 s 0.380 s reset gone (sent by the peer)",
        "partition home -0.920 s",
        "cores 2",
        "xmpplab run story -t three",
        "island island.test prosody full alice (1 device) valid island.test",
    ):
        assert part in text, part


def test_certificates_are_shown_with_issuer_and_dates():
    text = Parsed(page_of(tell_loss())).text
    assert "Certificates at the start of the run" in text
    tables = "home all CN=an issuer 2026-01-01T00:00:00+00:00 2026-02-01T00:00:00+00:00"
    assert tables in text


def test_the_diagram_has_every_stanza_as_each_place_saw_it():
    data = data_of(page_of(tell_loss()))
    assert [lane[0] for lane in data["lanes"]] == ["alice", "island", "home", "bob", "public", "carol"]
    assert [one[6] for one in data["stanzas"]] == ["failed", "valid", "valid", "valid", "valid"]
    lost = data["stanzas"][data["wrong"]]
    assert (lost[2], lost[5]) == ("m1", "message") and data["stanzas"][3][5] == "marker"
    assert [data["lanes"][one[0]][0] for one in lost[10]] == ["alice", "island", "island", "home"]
    assert data["xml"][0][0] is None and "<body>hello &amp; welcome</body>" in data["xml"][0][3]
    assert data["bands"][0][0] == "partition"
    assert "log of home: [error] disk full" in [text for _, _, text in data["lines"]]


def test_nothing_is_loaded_and_only_its_own_script_may_run():
    html = page_of(tell_loss())
    parsed = Parsed(html)
    assert not LOADING & {*parsed.tags}
    assert all(value.startswith("data:image/svg+xml") for _, name, value in parsed.attributes if name == "src")
    assert all(value.startswith("#") for _, name, value in parsed.attributes if name == "href")
    assert not [one for one in parsed.attributes if one[1].startswith("on") or one[1] == "style"]
    policy = next(value for tag, name, value in parsed.attributes if name == "content" and "-src" in value)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    styles = re.findall(r"<style>(.*?)</style>", html, re.S)

    def hashes(texts):
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in texts)

    assert policy == (
        f"default-src 'none'; style-src {hashes(styles)}; script-src {hashes(scripts)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_no_injection_point_breaks_out():
    told = tell_hostile(EVIL)
    html = page_of(told)
    parsed = Parsed(html)
    honest = Parsed(page_of(tell_loss()))
    assert {*parsed.tags} <= {*honest.tags, "details", "summary", "h3"}
    assert parsed.tags.count("script") == honest.tags.count("script") == 2
    assert not [one for one in parsed.attributes if one[1].startswith("on")]
    assert "\u202e" not in html and html.count("&lt;script&gt;alert(1)") > 20, "the points are used"
    assert EVIL in json.dumps(data_of(html), ensure_ascii=False).replace('\\"', '"')


def test_that_test_would_see_it(monkeypatch):
    environment = document._environment()
    monkeypatch.setattr(environment, "autoescape", False)
    environment.cache.clear()
    try:
        assert Parsed(page_of(tell_hostile(EVIL))).tags.count("script") > 2
    finally:
        environment.cache.clear()


def test_a_page_stays_small(monkeypatch):
    """Long base64 is shortened; what still does not fit is left out, first what matters least, and the page says so."""
    monkeypatch.setattr(diagram_data, "LARGEST", 100_000)
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(30):
        told.say(alice, bob)
    told.finish().drop(type(next(one for one in told.events if one.kind == "delivered")), message="m30")
    digits = iter(range(10**9))
    for place, one in enumerate(told.events):
        if isinstance(one, ServerSaw):
            noise = "".join(hashlib.sha256(str(next(digits)).encode()).hexdigest() + " " for _ in range(80))
            told.events[place] = type(one)(**{**one.__dict__, "stanza": f"<message id='{one.id}'>{noise}</message>"})
    html = page_of(told)
    packed = re.search(r'id="diagram-data">([^<]+)', html)[1]
    assert 30_000 < len(packed) <= 100_000
    data = data_of(html)
    assert re.search(r"the XML of \d+ stanzas is left out", html)
    assert data["xml"][data["wrong"]] is not None and None in data["xml"]
    assert shorten_opaque(f"<p>{'A' * 500}</p>") == f"<p>{'A' * 32}… (500 characters)</p>"


def test_where_even_the_paths_are_too_much_fewer_stanzas_are_drawn(monkeypatch):
    monkeypatch.setattr(diagram_data, "LARGEST", 4_000)
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(200):
        told.say(alice, bob)
    told.finish().drop(type(next(one for one in told.events if one.kind == "delivered")), message="m150")
    html = page_of(told)
    data = data_of(html)
    assert len(re.search(r'id="diagram-data">([^<]+)', html)[1]) <= 4_000
    left = 201 - len(data["stanzas"])
    assert left > 0 and f"{left} stanzas that matter less are not drawn" in html
    assert data["stanzas"][data["wrong"]][2] == "m150", "what went wrong is among those that are"


def test_a_run_without_a_feed_or_anything_at_all_has_a_page():
    told = SampleHistory()
    html = page_of(told)
    assert "Nobody sent a message." in html and "neither names nor streams are known" in html
    assert "The run was killed: its history has no end." in html
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    told.finish()
    told.drop(ServerSaw)
    text = Parsed(page_of(told)).text
    assert "full, nothing recorded" in text and "(hops between not recorded)" in text


def test_it_is_written_into_the_folder_of_the_run_for_its_owner_alone(tmp_path):
    told = tell_loss()
    folder = write_run(told, tmp_path / "run")
    (folder / "logs" / "home").mkdir(parents=True)
    at = "1970-01-01 00:16:40.500000+00:00"
    (folder / "logs" / "home" / "server.log").write_text(f"no time\n{at} [info] a line of its log\n")
    record = record_of(told)
    write_reports(folder, record, judge(record))
    page = folder / "page.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert 'href="report.txt"' in page.read_text() and 'href="history.jsonl"' in page.read_text()
    assert [1e6 * 0.49, [2], "log of home: [info] a line of its log"] in data_of(page.read_text())["lines"]
    before = page.read_text()
    assert write_page(folder, record, judge(record)) == page and page.read_text() == before


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("2026-11-29 15:11:33.5+00:00 [info] x", 1795965093.5),
        ("2026-11-29T15:11:33Z x", 1795965093.0),
        ("no time", None),
        ("2026-99-29 15:11:33 x", None),
    ],
)
def test_times_of_log_lines(line, at):
    from lab.report.server_logs import parse_line

    found = parse_line(line, 1795965000.0)
    assert (found and found[0]) == at


def test_a_time_without_a_year_is_near_the_run():
    import time

    from lab.report.server_logs import parse_line

    began = time.mktime((2026, 12, 31, 23, 59, 0, 0, 0, -1))
    assert parse_line("Jan 01 00:00:05 c2s\tinfo\thello", began) == (began + 65, "c2s\tinfo\thello")


def test_what_a_scenario_measured_stands_on_the_page_as_text():
    told = tell_story()
    told.add(TableRecorded, title="who reads it", head=("from", "to"), rows=(("alice", EVIL),), notes=("a: refused",))
    html = page_of(told)
    assert "<caption>who reads it</caption>" in html and "<li>a: refused</li>" in html
    assert EVIL not in html and "alert(1)" in Parsed(html).text
    assert "cell by cell" not in page_of(tell_story())

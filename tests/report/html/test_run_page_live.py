"""The page of a run in a real browser: it opens from disk, and mouse, keyboard, filters, zoom and printing work."""

from __future__ import annotations

import re

import pytest

from lab.history.events import Delivered
from lab.report.html import diagram_data
from tests.checks.sample_history import SampleHistory
from tests.metrics.test_stanza_paths import saw
from tests.report.html.chromium import PROGRAM, Chromium
from tests.report.html.run_histories import page_of, tell_hostile, tell_loss, tell_story

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")

EVIL = '"><script>document.title="ran"</script><img src=x onerror="document.title=1">'
PANEL = "document.getElementById('stanza').innerText"

#: Counts texts, and lists those whose colour is too near to what is behind them.
CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, part, i) => sum + part * linear(c[i] / 255), 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  let texts = 0;
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    if (e.closest("svg, script, style") || !own || !e.offsetParent || style.opacity < 1) continue;
    const [a, b] = [light(parse(style.color)), light(behind(e))].sort((x, y) => y - x);
    texts += 1;
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push([e.tagName, e.className, e.textContent.slice(0, 30)]);
  }
  return { texts, low };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page_of(tell_loss()))
    return path


def show(browser, page, **how):
    browser.open(page, **how)
    browser.wait("document.body.dataset.ready === 'yes'")


def test_a_click_shows_a_stanza_as_each_server_saw_it(browser, page):
    """The one test that runs always: opened from disk without a request, a stanza clicked, a filter, the keyboard."""
    show(browser, page)
    assert browser.evaluate("document.getElementById('diagram-status').textContent") == (
        "3 of 5 stanzas shown, 2 hidden by the filters."
    )
    browser.evaluate("document.getElementById('diagram').scrollIntoView()")
    browser.click(".stanza.failed .hit")
    said = browser.evaluate(PANEL)
    for part in ("delivery: failed", "Likely cause: home logged: disk full",
                 "island (received, event 10), island (sent", "+10.0 ms",
                 "“hello & welcome”", "log of home: [error] disk full"):  # fmt: skip
        assert part in said, (part, said)
    assert browser.evaluate("document.querySelector('#stanza mark:not(.who)').textContent") == "hello & welcome"
    browser.evaluate("document.getElementById('diagram').scrollIntoView()")
    browser.evaluate("document.querySelector('.stanza.selected').focus()")
    for key in ("ArrowDown", "Enter"):
        browser.press(key)
    assert "encrypted: OMEMO, XEP-0384 version 0.3." in browser.evaluate(PANEL)
    assert browser.evaluate("document.activeElement.id") == "stanza-title"
    browser.evaluate(
        "(e => { e.value = 'carol@public.test'; e.dispatchEvent(new Event('change', {bubbles: true})); })"
        "(document.getElementById('filter-person'))"
    )
    assert browser.evaluate("document.getElementById('diagram-status').textContent").startswith("1 of 5")
    lanes = "[...document.querySelectorAll('#diagram-lanes text')].map(e => e.firstChild.textContent)"
    assert browser.evaluate(lanes) == ["alice", "island"], "lanes that its stanzas do not touch are hidden"
    assert not browser.errors
    assert all(re.match(r"(file:|data:|about:)", one) for one in browser.requests), browser.requests


@pytest.mark.slow
def test_the_link_of_the_explanation_leads_to_the_stanza(browser, page):
    show(browser, page, dark=True)
    browser.click(".wrong-first a")
    assert browser.evaluate("document.querySelector('.stanza.selected').classList.contains('failed')")
    assert browser.evaluate("location.hash") == "#stanza-0"
    show(browser, page, anchor="#stanza-1")
    assert "omemo" in browser.evaluate(PANEL)
    show(browser, page, anchor="#event-12")
    assert "m1" in browser.evaluate(PANEL), "what home received is event 12"
    show(browser, page, anchor="#event-1")
    assert "Choose a stanza" in browser.evaluate(PANEL), "the start of the run is no stanza"


@pytest.mark.slow
def test_where_not_all_are_drawn_links_lead_to_the_right_one_or_say_so(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(diagram_data, "LARGEST", 4_000)
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(140):
        told.say(alice, bob)
    told.finish().drop(Delivered, message="m130")
    page = tmp_path / "page.html"
    page.write_text(page_of(told))
    show(browser, page)
    browser.click(".wrong-first a")
    assert "id m130" in browser.evaluate(PANEL) and browser.evaluate("location.hash") == "#stanza-129"
    browser.click("a[data-stanza='120']")
    assert "not drawn" in browser.evaluate("document.getElementById('diagram-status').textContent")


@pytest.mark.slow
def test_causes_and_effects_are_highlighted_and_lead_to_each_other(browser, tmp_path):
    told = tell_story()
    receipt = "<message id='r1'><received xmlns='urn:xmpp:receipts' id='m1'/></message>"
    ends = {"sender": "bob@home.test/phone", "receiver": "alice@island.test/phone"}
    saw(told, "home", "in", "c2s", id="r1", stanza=receipt, peer="bob@home.test/phone", **ends)
    saw(told, "home", "out", "s2s", id="r1", stanza=receipt, peer="island.test", **ends)
    page = tmp_path / "page.html"
    page.write_text(page_of(told.finish()))
    show(browser, page, anchor="#stanza-0")
    related = "[...document.querySelectorAll('.stanza.related')].map(e => e.getAttribute('aria-label'))"
    assert [one.partition(",")[0] for one in browser.evaluate(related)] == ["message from bob/phone to alice/phone"]
    assert "Causes" in browser.evaluate(PANEL)
    browser.click("#stanza button.link")
    assert "Caused by" in browser.evaluate(PANEL) and "id r1" in browser.evaluate(PANEL)
    browser.press("Escape")
    assert browser.evaluate("document.querySelectorAll('.stanza.selected, .stanza.related').length") == 0


@pytest.mark.slow
def test_zoom_makes_it_larger_and_keeps_the_focus(browser, page):
    show(browser, page)
    height = "+document.getElementById('diagram-svg').getAttribute('height')"
    before = browser.evaluate(height)
    browser.evaluate("document.querySelector('.stanza').focus()")
    browser.press("+")
    assert browser.evaluate(height) > before * 1.2
    browser.click("#zoom-out")
    browser.click("#zoom-out")
    assert browser.evaluate(height) < before


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_a_page_needs_no_sideways_scrolling(browser, page, width):
    show(browser, page, width=width)
    browser.click(".stanza.failed .hit")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("Math.max(...[...document.querySelectorAll('caption')].map(e => e.offsetWidth))") <= width
    drawing = browser.evaluate("document.querySelector('figure.topology img').offsetWidth")
    assert drawing >= 600, "it is scrolled, not made too small to be read"
    assert width == 400 or drawing <= width


@pytest.mark.slow
def test_every_control_has_a_name_and_the_keyboard_reaches_it(browser, page):
    show(browser, page)
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = [one for one in nodes if one.get("role", {}).get("value") in ("button", "checkbox", "combobox", "link")]
    assert len(controls) > 10
    assert not [one for one in controls if not one.get("name", {}).get("value")]
    reached = set()
    for _ in range(40):
        browser.press("Tab")
        reached.add(browser.evaluate("document.activeElement.id || document.activeElement.getAttribute('class')"))
    assert {"filter-person", "filter-server", "filter-wrong", "zoom-in"} <= reached
    assert any("stanza" in str(one) for one in reached)


@pytest.mark.slow
def test_it_prints_the_whole_diagram(browser, page):
    show(browser, page)
    assert browser.print().startswith(b"%PDF")
    assert browser.evaluate("document.querySelectorAll('.stanza').length") == 3


@pytest.mark.slow
def test_hostile_text_runs_nothing(browser, tmp_path):
    page = tmp_path / "evil.html"
    page.write_text(page_of(tell_hostile(EVIL)))
    show(browser, page)
    for kind in ("message", "presence", "iq", "marker"):
        browser.evaluate(f"document.querySelector('#filter-kinds input[value={kind}]')?.click()")
    count = browser.evaluate("document.querySelectorAll('.stanza').length")
    for place in range(count):
        browser.evaluate(f"document.querySelectorAll('.stanza')[{place}].dispatchEvent(new MouseEvent('click'))")
    assert count and browser.evaluate("document.title") == "story on three"
    assert browser.evaluate("document.querySelectorAll('img').length") == 1, "the drawing of the topology"
    assert EVIL in browser.evaluate("document.body.textContent")


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast_in_both_themes(browser, page, dark):
    """Of every text its colour against what is behind it: at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    show(browser, page, dark=dark)
    browser.click(".wrong-first a")
    found = browser.evaluate(CONTRAST)
    assert found["texts"] > 60 and not found["low"], found["low"]

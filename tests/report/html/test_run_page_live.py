"""The page of a run in a real browser: it opens from disk, and mouse, keyboard, filters, zoom and printing work."""

from __future__ import annotations

import re

import pytest

from tests.report.html.chromium import PROGRAM, Chromium
from tests.report.html.run_histories import page_of, tell_hostile, tell_loss

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")

EVIL = '"><script>document.title="ran"</script><img src=x onerror="document.title=1">'
PANEL = "document.getElementById('stanza').innerText"


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

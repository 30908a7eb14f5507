"""The page of two runs beside each other."""

from lab.checks import judge
from lab.report.differences.comparison import compare
from lab.report.html.diff_page import render, write_page
from tests.report.html.run_histories import record_of, tell_hostile, tell_loss, tell_story
from tests.report.html.test_run_page import EVIL, LOADING, Parsed


def difference_of(one, other):
    return compare(*((record_of(told), judge(record_of(told))) for told in (one, other)))


def test_the_first_difference_is_marked_and_the_runs_are_linked(tmp_path):
    runs = [tmp_path / "runs" / name for name in ("one", "two")]
    for run in runs:
        run.mkdir(parents=True)
    (runs[0] / "page.html").write_text("x")
    path = write_page(runs[1] / "diff.html", difference_of(tell_story().finish(), tell_loss()), runs)
    html = path.read_text()
    parsed = Parsed(html)
    assert (
        parsed.text.index("A VALID one") < parsed.text.index("B FAILED two") < parsed.text.index("The first difference")
    )
    assert "message 1 from alice@island.test to bob@home.test" in parsed.text
    assert "≠ sent by home neither delivered nor bounced" in parsed.text
    assert ("a", "href", "../one/page.html") in parsed.attributes
    assert ("a", "href", "../one/page.html#stanza-0") in parsed.attributes
    assert not [value for _, name, value in parsed.attributes if name == "href" and "two" in value], "it has no page"


def test_equal_runs_say_so(tmp_path):
    text = Parsed(render(difference_of(tell_story().finish(), tell_story().finish()), [tmp_path] * 2, tmp_path)).text
    assert "The runs took the same course" in text and "The first difference" not in text
    assert "The same in both: 1 step, 3 messages," in text


def test_no_injection_point_breaks_out(tmp_path):
    hostile = tell_hostile(EVIL)
    html = render(difference_of(hostile, hostile), [tmp_path / EVIL.replace("/", "_")] * 2, tmp_path)
    parsed = Parsed(html)
    assert "script" not in parsed.tags and "img" not in parsed.tags and not LOADING & {*parsed.tags}
    assert not [one for one in parsed.attributes if one[1].startswith("on") or one[1] in ("src", "style")]
    assert "\u202e" not in html and "&lt;script&gt;" in html

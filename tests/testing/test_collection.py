"""What the plugin says while it collects: nothing is started."""

import subprocess
import sys

import pytest

from tests.house.tree import ROOT
from tests.runner.test_scenarios import MADE


def collect(pytester: pytest.Pytester, *files) -> pytest.RunResult:
    return pytester.runpytest_subprocess("--collect-only", "-q", "-p", "no:cacheprovider", *files)


WRONG = {
    'topolgy("pair")': "there is no marker 'topolgy'; did you mean 'topology'?",
    "toplogy": "there is no marker 'toplogy'; did you mean 'topology'?",
    'topology("pair", expect={})': "the marker topology takes no argument 'expect'",
    'topology("pair", expects={"secrecy": "no"})': "choose one of valid, failed, unknown",
    'topology("pair", expects={"secretcy": "failed"})': "topology has expects={'secretcy': …}: the checks are delivery",
    'topology("pair", expects="failed")': "the marker topology has expects='failed'",
    'topology(["pair", "ring:3"])': "the marker topology has ['pair', 'ring:3']",
}


@pytest.mark.parametrize("marker", WRONG)
def test_a_wrong_marker_is_one_clear_error(pytester, marker):
    pytester.makepyfile(f"import pytest\n@pytest.mark.{marker}\nasync def test_it(federation): pass\n")
    result = collect(pytester)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said = result.stdout.str()
    assert WRONG[marker] in said
    assert "Traceback" not in said
    assert "lab/testing" not in said


def test_other_markers_are_left_alone(pytester):
    pytester.makeini("[pytest]\nmarkers = topologies: of our own\n")
    pytester.makepyfile(
        'import pytest\n@pytest.mark.topologies\n@pytest.mark.topology(expects={"secrecy": "failed"})\n'
        "async def test_it(federation): pass\n"
    )
    result = collect(pytester)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_it?pair?"])


def test_scenarios_of_the_checkout_need_nothing_that_only_its_tests_need():
    """After `make demo` pytest is there, its plugins for the tests are not."""
    words = ["--collect-only", "-q", "-p", "no:timeout", "-p", "no:xdist", "scenarios"]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everyone_writes[pair]" in done.stdout


def test_scenarios_made_in_a_loop_are_collected(pytester):
    story = pytester.makepyfile(story=f"{MADE}\nfor n in (1, 2): make(n)\n")
    result = collect(pytester, story)
    result.stdout.fnmatch_lines(["*story_1?pair?", "*story_2?pair?"])

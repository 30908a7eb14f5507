"""The pytest plugin, as somebody with a server of their own uses it: a test file, a description, nothing else."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.runtime.own_server import description

pytestmark = pytest.mark.live

TEST = """
import pytest
from lab import Federation

pytestmark = pytest.mark.topology("pair,software=./mine.yaml+prosody@13.0")

async def test_offline_message_arrives_once(federation: Federation) -> None:
    mine, other = federation.servers
    alice, bob = await mine.person(), await other.person()
    await bob.disconnect()
    message = await alice.send(bob, "later")
    await bob.connect()                                     # returns once the offline store is flushed
    assert len((await message.outcome()).deliveries) == 1
"""


async def test_a_file_and_a_description_are_enough(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_offline=TEST)
    Path("mine.yaml").write_text(await description())
    result = pytester.runpytest_subprocess("--xmpplab-runtime=processes", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    (folder,) = Path("runs").glob("2*")
    assert json.loads((folder / "verdict.json").read_text())["value"] != "failed"


SCENARIOS = '''
from lab import Federation, expect, scenario

@scenario()
async def good(federation: Federation) -> None:
    """A message arrives."""
    alice, bob = await federation.people()
    expect(await (await alice.send(bob, "hello")).outcome(), federation.link(alice.server, bob.server).promise)

@scenario()
async def wrong(federation: Federation) -> None:
    """An expectation that does not hold."""
    alice, bob = await federation.people()
    expect((await (await alice.send(bob, "hello")).outcome()).bounces, "one")

@scenario()
async def elsewhere(federation: Federation) -> None:
    """A role that a pair cannot give."""
    federation.unlinked_pair()
'''

TESTS = """
import pytest

pytestmark = pytest.mark.topology("pair")

async def test_role_that_cannot_be_given(federation):
    federation.unlinked_pair()

async def test_that_leaks_a_secret(federation):
    alice, bob = await federation.people()
    await (await alice.send(bob, federation.secret())).outcome()

@pytest.mark.topology("pair", expects={"secrecy": "failed"})
async def test_that_leaks_on_purpose(federation):
    alice, bob = await federation.people()
    await (await alice.send(bob, federation.secret())).outcome()
"""


def test_scenarios_are_tests_and_passing_tests_are_judged(pytester: pytest.Pytester) -> None:
    """A scenario's verdict is its test's; a test that passed fails at its end if its history does not hold."""
    story, tests = pytester.makepyfile(story=SCENARIOS), pytester.makepyfile(test_judged=TESTS)
    result = pytester.runpytest_subprocess(
        "--xmpplab-runtime=processes", "--xmpplab-topology=pair", "-rA", "-p", "no:cacheprovider", story, tests
    )
    result.assert_outcomes(passed=3, failed=1, skipped=2, errors=1)
    result.stdout.fnmatch_lines_random(
        ["PASSED *::good?pair?", "FAILED *::wrong?pair?*", "ERROR *::test_that_leaks_a_secret*"]
    )
    result.stdout.fnmatch_lines(["*the test passed, but its run is failed: *can read the secret*"])


OUTCOMES = """
import pytest
from lab import Federation, expect, step

async def test_forgotten_await(federation):
    alice, bob = await federation.people()
    expect(len(federation.servers), 2)
    alice.send(bob, "hello")

async def test_that_judges_nothing(federation):
    await federation.people()

async def test_expectation_is_recorded(federation):
    with step("counting"):
        expect(len(federation.servers), 2)

async def test_that_fails(federation):
    assert len(federation.servers) == 3

async def test_that_expects_too_much(federation):
    expect(len(federation.servers), 3)

async def test_that_skips(federation):
    pytest.skip("not today")
"""


def test_a_run_ends_as_its_test_does(pytester: pytest.Pytester) -> None:
    """Nothing judged is no pass; a test's failure says verdict, cause, folder and how to run it again, JUnit too."""
    pytester.makepyfile(test_outcomes=OUTCOMES)
    result = pytester.runpytest_subprocess(
        "--xmpplab-runtime=processes", "-rA", "-p", "no:cacheprovider", "--junit-xml=junit.xml"
    )
    result.assert_outcomes(passed=3, failed=2, skipped=1, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "ERROR *::test_forgotten_await*",
            "the test passed, but its run is unknown: *test_outcomes.py:7: `Person.send` is not awaited*",
            "ERROR *::test_that_judges_nothing*",
            "PASSED *::test_expectation_is_recorded*",
            "the test passed, but its run is unknown: Nothing was judged*",
            "FAILED: *test_outcomes.py:*assert 2 == 3*",
            "folder  runs/*-test_that_fails-pair-pair",
            "rerun   pytest 'test_outcomes.py::test_that_fails?pair?' --xmpplab-runtime=processes",
        ]
    )
    assert "federation_run.py" not in result.stdout.str(), "a traceback through the lab says nothing"
    verdicts = {
        path.parent.name.split("-")[2]: json.loads(path.read_text())["value"]
        for path in Path("runs").glob("2*/v*.json")
    }
    assert verdicts == {
        "test_forgotten_await": "unknown",
        "test_that_judges_nothing": "unknown",
        "test_expectation_is_recorded": "valid",
        "test_that_fails": "failed",
        "test_that_expects_too_much": "failed",
        "test_that_skips": "skipped",
    }
    cases = {case.get("name"): case for case in ElementTree.parse("junit.xml").iter("testcase")}
    properties = {one.get("name"): one.get("value") for one in cases["test_that_fails[pair]"].iter("property")}
    assert properties["xmpplab_verdict"] == "failed"
    assert "assert 2 == 3" in properties["xmpplab_cause"]
    assert Path(properties["xmpplab_folder"], "history.jsonl").is_file()
    assert properties["xmpplab_rerun"].startswith("pytest 'test_outcomes.py::test_that_fails[pair]'")


FAULTS = """
faults:
  - {name: storm, action: conditions, selector: {link: [a, b]}, latency: 700ms}
  - {name: other, action: reset-streams, selector: {server: a}, at: 10min}
"""
DURING = """
import time

async def test_message_is_late(federation):
    alice, bob = await federation.people()
    began = time.monotonic()
    assert (await (await alice.send(bob, "hello")).outcome(90)).deliveries
    assert time.monotonic() - began >= 0.7

async def test_second(federation):
    assert (await federation.people())[0]
    alice, bob = await federation.people()
    await (await alice.send(bob, "hello")).outcome(90)
"""


def test_declared_faults_act_during_each_test(pytester: pytest.Pytester) -> None:
    """From its beginning to its end: each run has them applied and healed; a file that is wrong is refused."""
    pytester.makepyfile(test_during=DURING)
    Path("faults.yaml").write_text(FAULTS)
    words = ["--xmpplab-runtime=processes", "-p", "no:cacheprovider", "--xmpplab-faults=faults.yaml"]
    pytester.runpytest_subprocess(*words).assert_outcomes(passed=2)
    folders = list(Path("runs").glob("2*"))
    assert len(folders) == 2
    for folder in folders:
        events = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        faults = [event for event in events if event.get("event") in ("fault-applied", "fault-healed")]
        assert [event["event"] for event in faults] == ["fault-applied", "fault-healed"], faults
        assert ["name", "storm"] in faults[0]["fields"]
    Path("faults.yaml").write_text(FAULTS.replace("server: a", "server: z"))
    result = pytester.runpytest_subprocess(*words)
    assert "faults.yaml:4" in result.stdout.str() and "no server 'z'" in result.stdout.str()
    assert len(list(Path("runs").glob("2*"))) == 2

"""The matrix page of a pytest session. No lab is started: runs are made up where the plugin asks for one."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.runner.batch import BatchResult
from lab.testing.session_matrix import SessionMatrix
from tests.report.html.test_run_page import Parsed

CONFTEST = """
from contextlib import asynccontextmanager
from pathlib import Path
from lab.errors import NotReady
from lab.runner.run import RunResult
from lab.testing import federation_run, scenario_items, session_labs

def leave_run(name, value="valid", code=0):
    folder = Path("runs") / "".join(one if one.isalnum() else "_" for one in name)
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("a page")
    return RunResult(folder, "finished", value, f"about {name}", code, 1.5)

async def run(self):
    if self.source == "star:5":
        raise NotReady("s1 did not start")
    return leave_run(self.name)

@asynccontextmanager
async def run_federation(lab, test, file, *, ended, on_result, **rest):
    yield None, None
    failed = ended() is not None
    on_result(leave_run(test, *(("failed", 1) if failed else ())))

async def get(self, source):
    return None

scenario_items.ScenarioItem._run = run
federation_run.federation_run = run_federation
session_labs.SessionLabs.get = get
session_labs.SessionLabs.faults = lambda self, source: ()
"""
STORY = """
from lab import scenario

@scenario()
async def story(federation):
    "A story."
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
async def test_count(federation, number):
    assert number == 1

def test_without_a_federation():
    pass

@pytest.mark.skip
async def test_not_today(federation):
    pass
"""


@pytest.fixture
def session(pytester: pytest.Pytester):
    pytester.makeconftest(CONFTEST)
    story, tests = pytester.makepyfile(story=STORY), pytester.makepyfile(test_count=TESTS)

    def run(*topologies: str, more: tuple[str, ...] = ()) -> str:
        chosen = [f"--xmpplab-topology={one}" for one in topologies]
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *more, *chosen, story, tests).stdout.str()

    return run


@pytest.mark.parametrize(
    "more", [("-p", "no:xdist"), pytest.param(("-n2",), marks=pytest.mark.slow)], ids=["one process", "workers"]
)
def test_runs_on_several_topologies_leave_a_page_that_leads_to_each(session, more) -> None:
    said = session("pair", "ring:4", "star:5", more=more)
    (page,) = Path("runs").glob("*-matrix.html")
    assert page.absolute().as_uri() in said
    parsed = Parsed(page.read_text())
    assert "scenario" in parsed.text and "story ✓ valid 1.5 s ✓ valid 1.5 s ? never ready" in parsed.text, parsed.text
    assert "test_count.py::test_count[1] ✓ valid 1.5 s ✓ valid 1.5 s ✓ valid 1.5 s" in parsed.text
    assert "test_count.py::test_count[2] ✗ failed 1.5 s ✗ failed 1.5 s ✗ failed 1.5 s" in parsed.text
    assert "s1 did not start" in parsed.text
    assert "test_without" not in parsed.text and "test_not_today" not in parsed.text
    links = {value for _, name, value in parsed.attributes if name == "href"}
    assert len(links) == 8
    assert all((Path("runs") / link).is_file() for link in links)


def test_results_stand_in_the_order_of_the_tests_whatever_worker_was_first(tmp_path: Path) -> None:
    matrix = SessionMatrix(tmp_path / "runs")
    for place, topology in ((2, "star:5"), (0, "pair"), (1, "ring:4")):
        plain = {"place": place, **asdict(BatchResult("story", topology, "valid", 0, 1.5, None))}
        matrix.pytest_runtest_logreport(SimpleNamespace(xmpplab_run=plain))
    matrix.pytest_sessionfinish()
    (page,) = (tmp_path / "runs").glob("*-matrix.html")
    assert "scenario pair ring:4 star:5" in Parsed(page.read_text()).text


@pytest.mark.slow
def test_one_topology_leaves_no_page(session) -> None:
    assert "matrix" not in session("pair")
    assert len([*Path("runs").glob("*/page.html")]) == 3
    assert not list(Path("runs").glob("*-matrix.html"))

"""The pytest plugin: a running federation as a fixture, and scenario files as tests.

- A test that takes `federation` gets a running network and needs no conftest and no asyncio settings. The marker
  `topology("pair", "ring:6", …)` says on which; without one `--xmpplab-topology` does, and `pair` if nothing does.
- A file with `@scenario` coroutines that is named on the command line, or lies in a folder `scenarios`, is
  collected: each scenario on each topology is a test, and its verdict is the test's.
- Each test leaves a run folder. When a test with `federation` has passed, its history is judged all the same: a message
  that was lost or sent twice fails it.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from lab.errors import NotApplicable

if TYPE_CHECKING:
    from lab.federation import Federation
    from lab.testing.labs import Labs

DEFAULT_TOPOLOGY = "pair"
_LABS = pytest.StashKey["Labs"]()
_FAILED = pytest.StashKey[list[bool]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the plugin."""
    group = parser.getgroup("xmpplab", "federations of XMPP servers")
    group.addoption(
        "--xmpplab-runtime", default="auto", choices=("auto", "containers", "processes"), help="what runs the servers"
    )
    group.addoption(
        "--xmpplab-topology", action="append", metavar="T", help="topology of tests that name none; may be repeated"
    )
    group.addoption("--xmpplab-runs", default="runs", metavar="FOLDER", help="where run folders go (default: runs)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known. Who has only this plugin need not choose loop scopes for the one below it."""
    warnings.filterwarnings(
        "ignore", message=r"(?s).*asyncio_default_fixture_loop_scope", category=pytest.PytestDeprecationWarning
    )
    config.addinivalue_line("markers", "topology(*sources, expects={}): topologies that this test's federation has")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session's labs, also after Ctrl-C."""
    labs = config.stash.get(_LABS, None)
    if labs is not None:
        asyncio.run(labs.close())


def session_labs(config: pytest.Config) -> Labs:
    """The labs of this session."""
    from lab.testing.labs import Labs

    if _LABS not in config.stash:
        config.stash[_LABS] = Labs(config.getoption("--xmpplab-runtime"))
    return config.stash[_LABS]


def topologies(config: pytest.Config, marker: pytest.Mark | None) -> list[str]:
    """What a test runs on: its marker's topologies, else the command line's, else the default."""
    return [
        str(one) for one in (marker.args if marker else config.getoption("--xmpplab-topology") or [DEFAULT_TOPOLOGY])
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each topology; the scope groups the tests of a topology together."""
    if "xmpplab_topology" in metafunc.fixturenames:
        sources = topologies(metafunc.config, metafunc.definition.get_closest_marker("topology"))
        metafunc.parametrize("xmpplab_topology", sources, scope="session")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, object, object]:
    """Let coroutine tests that take `federation` run on the loop of their fixture, whatever the asyncio mode is."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if (
            isinstance(item, pytest.Function)
            and "federation" in item.fixturenames
            and inspect.iscoroutinefunction(item.obj)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"))
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A role that the topology cannot give is a counted skip."""
    try:
        return (yield)
    except NotApplicable as error:
        pytest.skip(str(error))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenario files."""
    from lab.testing.scenarios import ScenarioFile, has_scenarios

    if file_path.suffix != ".py" or not has_scenarios(file_path):
        return None
    named = file_path in {Path(argument.split("::")[0]).absolute() for argument in parent.config.args}
    if named or file_path.parent.name == "scenarios":
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest_asyncio.fixture(loop_scope="session")
async def federation(request: pytest.FixtureRequest, xmpplab_topology: str) -> AsyncIterator[Federation]:
    """A running federation with nobody on it: fresh people for each test, a lab for each topology and session."""
    from lab.testing.judged import judged

    marker = request.node.get_closest_marker("topology")
    lab = await session_labs(request.config).get(xmpplab_topology)
    async with judged(
        lab,
        request.node.name,
        request.path,
        runs=Path(request.config.getoption("--xmpplab-runs")),
        expects=marker.kwargs.get("expects", {}) if marker else {},
        quiet=request.node.stash.setdefault(_FAILED, []),
    ) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failed test, so that its history is not held against it a second time."""
    report = yield
    if report.when == "call" and not report.passed:
        item.stash.setdefault(_FAILED, []).append(True)
    return report

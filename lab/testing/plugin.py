"""The pytest plugin: a running federation as a fixture, and scenario files as tests.

- A test that takes `federation` gets a running network and needs no conftest and no asyncio settings. The marker
  `topology("pair", "ring:6", …)` says on which; without one `--xmpplab-topology` does, and `pair` if nothing does.
- A file with `@scenario` coroutines that is named on the command line, or lies in a folder `scenarios`, is
  collected: each scenario on each topology is a test, and its verdict is the test's.
- Each test leaves a run folder, whose verdict is the test's. When a test with `federation` has passed, its history is
  judged all the same: a message that was lost or delivered twice fails it, and so does a run that judged nothing.
- A session on several topologies leaves a matrix page of them, whose address pytest prints.
- What is shown of a failure says the verdict with its likely cause, the folder, and the command that runs it again;
  JUnit files have them as properties.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from lab.errors import NotApplicable
from lab.testing import markers
from lab.testing.session_labs import close_labs_of, get_labs, list_topologies
from lab.testing.session_matrix import SessionMatrix, attach_result

if TYPE_CHECKING:
    from lab.federation import Federation
    from lab.runner.run import RunResult

# How the test itself has ended: the error that left it, None if it passed. Absent until it is over.
_ENDED = pytest.StashKey[BaseException | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options.

    --xmpplab-runtime   what runs the servers: auto, containers or processes
    --xmpplab-topology  the topology of tests that name none; may be repeated, `pair` by default
    --xmpplab-faults    a file of declared faults, instead of those of the topologies
    --xmpplab-runs      the folder that the runs' folders are made in, `runs` by default
    """
    group = parser.getgroup("xmpplab", "federations of XMPP servers")
    group.addoption(
        "--xmpplab-runtime", default="auto", choices=("auto", "containers", "processes"), help="what runs the servers"
    )
    group.addoption(
        "--xmpplab-topology", action="append", metavar="T", help="topology of tests that name none; may be repeated"
    )
    group.addoption("--xmpplab-faults", metavar="FILE", help="declared faults, instead of those of the topologies")
    group.addoption("--xmpplab-runs", default="runs", metavar="FOLDER", help="where run folders go (default: runs)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `topology(*sources, expects={})`.

    `sources` are names, files or shapes: the test runs on each. `expects` names checks and the value that each must
    have, such as {"secrecy": "failed"}.
    """
    # A user of this plugin alone need not choose loop scopes for pytest-asyncio below it.
    warnings.filterwarnings(
        "ignore", message=r"(?s).*asyncio_default_fixture_loop_scope", category=pytest.PytestDeprecationWarning
    )
    config.addinivalue_line("markers", "topology(*sources, expects={}): topologies that this test's federation has")
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist sends its reports to who started it
        config.pluginmanager.register(SessionMatrix(Path(config.getoption("--xmpplab-runs"))), "xmpplab-matrix")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session's labs, also after Ctrl-C."""
    close_labs_of(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each topology; the scope groups the tests of a topology together."""
    if "xmpplab_topology" in metafunc.fixturenames:
        markers.check(metafunc.definition)
        sources = list_topologies(metafunc.config, metafunc.definition.get_closest_marker("topology"))
        metafunc.parametrize("xmpplab_topology", sources, scope="session")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, object, object]:
    """Run coroutine tests that take `federation` on the event loop of their fixture, whatever the asyncio mode is."""
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
    from lab.testing.scenario_items import ScenarioFile, has_scenarios

    if file_path.suffix != ".py" or not has_scenarios(file_path):
        return None
    named = file_path in {Path(argument.split("::")[0]).absolute() for argument in parent.config.args}
    if named or file_path.parent.name == "scenarios":
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest_asyncio.fixture(loop_scope="session")
async def federation(request: pytest.FixtureRequest, xmpplab_topology: str) -> AsyncIterator[Federation]:
    """A running federation (`lab.Federation`) without people: each test makes its own, tests share a lab per topology.

    The topology is that of the marker `topology`, else of the option --xmpplab-topology, else `pair`. At the end of a
    test that has passed the history is judged. Raises JudgementFailed unless its run is valid, UserError for a topology
    that cannot be read, MissingError if this machine lacks something, NotReady if the lab does not become ready.
    """
    from lab.runner.context import current
    from lab.testing.failures import add_result, build_rerun_command
    from lab.testing.federation_run import federation_run

    item: pytest.Item = request.node

    def on_result(result: RunResult) -> None:
        add_result(item, result, failed=item.stash.get(_ENDED, None) is not None)

    lab = await get_labs(request.config).get(xmpplab_topology)
    async with federation_run(
        lab,
        item.name,
        request.path,
        runs=Path(request.config.getoption("--xmpplab-runs")),
        expects=markers.read_expects(item),
        ended=lambda: item.stash[_ENDED],
        on_result=on_result,
        faults=get_labs(request.config).faults(xmpplab_topology),
        command=build_rerun_command(item),
    ) as (running, run):
        token = current.set(run)  # pytest-asyncio runs the test in this context: `expect` and `step` record there
        try:
            yield running
        finally:
            current.reset(token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember how the test ended; errors of the lab around it are shown in their own words, without a traceback."""
    from lab.testing.failures import describe_error

    report = yield
    error = call.excinfo.value if call.excinfo else None
    if call.when == "call" or (call.when == "setup" and error is not None):
        item.stash[_ENDED] = error
    if call.when != "call" and error is not None and (text := describe_error(item, error)):
        report.longrepr = text
    if call.when == "teardown":
        attach_result(item, report, item.stash.get(_ENDED, None) or error)
    return report

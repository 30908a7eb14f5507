"""The matrix page of a pytest session: every run that its tests left, by test and topology.

The result of a run is part of its test's last report, which pytest-xdist sends to the process that started it; that
process writes the page, `runs/<time>-matrix.html`, when the session ends. A test whose lab never came up is in it too.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab import exit_codes
from lab.errors import LabError, NotReady

if TYPE_CHECKING:
    from lab.runner.batch import BatchResult
    from lab.runner.run import RunResult

#: The result of the run of a test that is not over yet.
RESULT: pytest.StashKey[RunResult] = pytest.StashKey()
_ATTRIBUTE = "xmpplab_run"  # of a report


def attach_result(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> None:
    """Attach what became of the test's run to its last report; `error` is what ended a test that has no run."""
    from lab.runner.batch import BatchResult
    from lab.testing.session_labs import get_labs

    source = get_source(item)
    if source is None:
        return
    name, topology = get_name(item, source), get_labs(item.config).get_name(source)
    if (result := item.stash.get(RESULT, None)) is not None:
        del item.stash[RESULT]  # the test may be run again
        found = BatchResult.of_run(name, topology, result)
    elif error is None or isinstance(error, pytest.skip.Exception):
        return  # it was not to run
    else:
        ready, code = (False, exit_codes.NOT_READY) if isinstance(error, NotReady) else (True, exit_codes.INTERNAL)
        value, why = "broken" if ready else "never ready", str(error) or type(error).__name__
        found = BatchResult(name, topology, value, code, report.duration, None, sentence=why)
    # Plain types: pytest-xdist can send no others. Its workers have all collected the same tests in the same order.
    place = item.session.items.index(item)
    plain = {
        "place": place,
        **asdict(found),
        "value": str(found.value),
        "folder": None if found.folder is None else str(found.folder),
    }
    setattr(report, _ATTRIBUTE, plain)


def get_source(item: pytest.Item) -> str | None:
    """The topology that a test runs on, as it was named; None of a test without a federation."""
    callspec = getattr(item, "callspec", None)
    source = getattr(item, "source", None) if callspec is None else callspec.params.get("xmpplab_topology")
    return source if isinstance(source, str) else None


def get_name(item: pytest.Item, source: str) -> str:
    """What a test is called on every topology: the name of the scenario, or the test's id without the topology."""
    if (info := getattr(item, "info", None)) is not None:
        return str(info.name)
    place, bracket, parameters = item.nodeid.partition("[")
    others = [one for one in parameters.removesuffix("]").replace(source, "", 1).split("-") if one]
    return f"{place}[{'-'.join(others)}]" if bracket and others else place


class SessionMatrix:
    """Collects the results of a session, and writes the page. A plugin of the process that started the session."""

    def __init__(self, runs: Path) -> None:
        """`runs` is the folder of the runs' folders."""
        self._runs = runs
        self._found: list[dict[str, Any]] = []
        self._said = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result that a report has."""
        if (found := getattr(report, _ATTRIBUTE, None)) is not None:
            self._found.append(found)

    def pytest_sessionfinish(self) -> None:
        """Write the page of runs on several topologies."""
        if len({one["topology"] for one in self._found}) < 2:
            return
        from lab.report.html.matrix_page import write_page

        try:
            self._said = write_page(self._runs, self._in_order()).absolute().as_uri()
        except (LabError, OSError) as error:
            self._said = f"not written: {error}"

    def _in_order(self) -> list[BatchResult]:
        """The results in the order of the tests, whatever worker was the first."""
        return [_read(one) for one in sorted(self._found, key=lambda one: one["place"])]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the page's address."""
        if self._said:
            terminalreporter.section("xmpplab: the runs by topology")
            terminalreporter.write_line(self._said)


def _read(plain: dict[str, Any]) -> BatchResult:
    from lab.runner.batch import BatchResult

    found = BatchResult(**{name: value for name, value in plain.items() if name != "place"})
    return replace(found, folder=None if found.folder is None else Path(found.folder))

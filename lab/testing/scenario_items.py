"""Scenario files as pytest tests: each scenario on each topology, judged as `xmpplab run` judges it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from lab import exit_codes
from lab.errors import LabError
from lab.report.html.run_files import write_reports
from lab.runner import ScenarioInfo, load
from lab.runner.folders import REPORT
from lab.runner.run import RunResult, run_scenario
from lab.testing.failures import add_result, build_rerun_command, describe_place
from lab.testing.session_labs import get_labs, list_topologies


class ScenarioFailed(Exception):
    """The verdict was not "valid"; its text is the run's report."""


def has_scenarios(path: Path) -> bool:
    """True if the text of a file makes scenarios: nothing is run, and most files need one search only."""
    source = path.read_bytes()
    if b"scenario" not in source:
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return b"@scenario" in source  # the error is reported when it is collected
    return _decorates(tree) or (_makes(tree) and not fnmatch(path.name, "test_*.py"))


def _decorates(tree: ast.Module) -> bool:
    """True if it has `@scenario` above a function."""
    return any(
        _decorator(one) for node in tree.body if isinstance(node, ast.AsyncFunctionDef) for one in node.decorator_list
    )


def _decorator(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return getattr(called, "id", None) == "scenario" or getattr(called, "attr", None) == "scenario"


def _makes(tree: ast.Module) -> bool:
    """True if it takes `scenario` from the package itself and uses it: a function makes its scenarios.

    Not asked of files of tests, which may use it for something else.
    """
    taken = any(
        isinstance(node, ast.ImportFrom) and node.module == "lab" and any(one.name == "scenario" for one in node.names)
        for node in tree.body
    )
    return taken and any(isinstance(node, ast.Name) and node.id == "scenario" for node in ast.walk(tree))


class ScenarioFile(pytest.File):
    """A file with scenarios."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Each scenario on each topology."""
        try:
            infos = load(str(self.path))
        except LabError as error:
            raise self.CollectError(str(error)) from error
        for info in infos:
            for source in list_topologies(self.config, None):
                yield ScenarioItem.from_parent(self, name=f"{info.name}[{source}]", info=info, source=source)


class ScenarioItem(pytest.Item):
    """One scenario on one topology."""

    def __init__(self, *, info: ScenarioInfo, source: str, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.info = info
        self.source = source

    def runtest(self) -> None:
        """Run it. Raises ScenarioFailed unless the verdict is valid; skips if the topology lacks what it needs."""
        result = asyncio.run(self._run())
        add_result(self, result, failed=False)
        if result.skipped:
            pytest.skip(result.sentence)
        if result.exit_code != exit_codes.VALID:
            report = result.folder / REPORT
            text = report.read_text() if report.exists() else f"{result.value.upper()}: {result.sentence}\n"
            raise ScenarioFailed(f"{text}\n{describe_place(self, result)}")

    async def _run(self) -> RunResult:
        lab = await get_labs(self.config).get(self.source)
        runs = Path(self.config.getoption("--xmpplab-runs"))
        faults = get_labs(self.config).faults(self.source)
        command = build_rerun_command(self)
        return await run_scenario(self.info, lab, report=write_reports, runs=runs, faults=faults, command=command)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The report instead of a traceback; an error of the lab in its own words."""
        if isinstance(excinfo.value, ScenarioFailed | LabError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is written, and its title."""
        return self.path, self.info.line - 1, f"{self.name}: {self.info.title}"

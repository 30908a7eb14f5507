"""Scenario files as pytest tests: each scenario on each topology, judged as `xmpplab run` judges it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.report.folder import write_report
from lab.runner import ScenarioInfo, load
from lab.runner.run import RunResult, run_scenario
from lab.testing.session_labs import labs_of, topologies_of


class ScenarioFailed(Exception):
    """The verdict was not "valid"; its text is the run's report."""


def has_scenarios(path: Path) -> bool:
    """True if the text of a file defines scenarios: nothing is run, and most files need one search only."""
    source = path.read_bytes()
    if b"@scenario" not in source:
        return False
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return True  # the error is reported when it is collected
    return any(
        _decorator(one) for node in body if isinstance(node, ast.AsyncFunctionDef) for one in node.decorator_list
    )


def _decorator(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return getattr(called, "id", None) == "scenario" or getattr(called, "attr", None) == "scenario"


class ScenarioFile(pytest.File):
    """A file with scenarios."""

    def collect(self) -> Iterator[ScenarioItem]:
        """Each scenario on each topology."""
        try:
            infos = load(str(self.path))
        except LabError as error:
            raise self.CollectError(str(error)) from error
        for info in infos:
            for source in topologies_of(self.config, None):
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
        if result.skipped:
            pytest.skip(result.sentence)
        if result.exit_code != 0:
            report = result.folder / "report.txt"
            raise ScenarioFailed(report.read_text() if report.exists() else f"{result.sentence}\n{result.folder}")

    async def _run(self) -> RunResult:
        lab = await labs_of(self.config).get(self.source)
        runs = Path(self.config.getoption("--xmpplab-runs"))
        return await run_scenario(self.info, lab, report=write_report, runs=runs)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The report instead of a traceback; an error of the lab in its own words."""
        if isinstance(excinfo.value, ScenarioFailed | LabError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is written, and its title."""
        return self.path, self.info.line - 1, f"{self.name}: {self.info.title}"

"""What pytest shows of a run: verdict with its likely cause, folder, the command that runs it again."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from lab.testing.session_matrix import RESULT

if TYPE_CHECKING:
    from lab.runner.run import RunResult

#: Names of the properties in JUnit files.
PROPERTIES = ("xmpplab_verdict", "xmpplab_cause", "xmpplab_folder", "xmpplab_rerun")
#: Options of the plugin that a test's result depends on.
_OPTIONS = ("--xmpplab-runtime",)


def add_result(item: pytest.Item, result: RunResult, *, failed: bool) -> None:
    """Add a run's result to the test: its properties, its last report, what is shown if it has failed by itself."""
    # Plain strings: pytest-xdist sends them to the process that started it, and can send no other type.
    values = (str(result.value), result.sentence, str(result.folder), build_rerun_command(item))
    item.stash[RESULT] = result
    item.user_properties.extend(zip(PROPERTIES, values, strict=True))
    if failed:
        text = f"{result.value.upper()}: {result.sentence}\n{describe_place(item, result)}"
        item.add_report_section("teardown", "xmpplab run", text)  # pytest prints it below the test's failure


def describe_place(item: pytest.Item, result: RunResult) -> str:
    """Two lines: the run's folder, and the command that runs the test again."""
    return f"folder  {result.folder}\nrerun   {build_rerun_command(item)}"


def build_rerun_command(item: pytest.Item) -> str:
    """The command line that runs this test again, from the folder in which pytest was started."""
    config = item.config
    file = os.path.relpath(item.path, config.invocation_params.dir)
    node = "::".join([file, *str(item.nodeid).split("::")[1:]])
    chosen = [f"{name}={config.getoption(name)}" for name in _OPTIONS if config.getoption(name) != "auto"]
    topologies = [f"--xmpplab-topology={one}" for one in config.getoption("--xmpplab-topology") or []]
    return shlex.join(["pytest", node, *chosen, *topologies])


def describe_error(item: pytest.Item, error: BaseException) -> str | None:
    """The text of an error that came from the lab around a test, not from the test; None for any other."""
    from lab.testing.federation_run import JudgementFailed

    if isinstance(error, LabError):
        return str(error)
    if not isinstance(error, JudgementFailed):
        return None
    known = dict(item.user_properties)
    folder = known.get("xmpplab_folder")
    return f"{error}\nfolder  {folder}\nrerun   {build_rerun_command(item)}" if folder else str(error)

"""A coroutine that a script makes and never awaits is named with its line."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

import pytest

from lab.history.events import RunEnded
from lab.runner.run import _with_forgotten
from lab.runner.unawaited_coroutines import unawaited


class Speaker:
    async def send(self) -> None: ...


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(text))


def test_it_is_named_with_its_line_and_once() -> None:
    with unawaited() as found:
        for _ in range(3):
            Speaker().send()  # type: ignore[unused-coroutine]  # a loop
        kept = Speaker().send()  # kept
        del kept
    assert found == [
        f"{Path(__file__).name}:{line_of(end)}: `Speaker.send` is not awaited: write `await` before it"
        for end in ("# a loop", "# kept")
    ]


def test_one_in_a_cycle_is_found_as_well() -> None:
    with unawaited() as found:
        cycle: list[object] = [Speaker().send()]  # in a cycle
        cycle.append(cycle)
        del cycle
    assert [one.split(":")[1] for one in found] == [str(line_of("# in a cycle"))]


async def test_what_is_awaited_cancelled_or_a_task_is_none() -> None:
    with unawaited() as found:
        await Speaker().send()
        task = asyncio.create_task(Speaker().send())
        task.cancel()
        await asyncio.gather(task, Speaker().send(), return_exceptions=True)
        Speaker().send().close()
    assert found == []


@pytest.mark.filterwarnings("default")
def test_what_others_forget_is_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.runner.unawaited_coroutines._OTHERS", (f"{tmp_path}/",))
    file = tmp_path / "package.py"
    file.write_text("async def work(): ...\ndef forget(): work()\n")
    space: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    with pytest.warns(RuntimeWarning, match="'work' was never awaited"), unawaited() as found:
        space["forget"]()  # type: ignore[operator]
    assert found == []


def test_python_is_as_before_afterwards() -> None:
    before = warnings._warn_unawaited_coroutine, sys.get_coroutine_origin_tracking_depth()  # type: ignore[attr-defined]
    with unawaited():
        assert sys.get_coroutine_origin_tracking_depth() >= 1
    after = warnings._warn_unawaited_coroutine, sys.get_coroutine_origin_tracking_depth()  # type: ignore[attr-defined]
    assert before == after


@pytest.mark.parametrize(
    ("how", "detail", "then"),
    [
        ("finished", "", ("script-error", "a.py:1: x")),
        ("expectation", "expected 2; got 1", ("expectation", "expected 2; got 1; a.py:1: x")),
        ("not-applicable", "no link", ("not-applicable", "no link")),
    ],
)
def test_a_run_that_forgot_one_is_not_over_as_if_nothing_was(how: str, detail: str, then: tuple[str, str]) -> None:
    ended = RunEnded(at=0.0, how=how, detail=detail)
    assert _with_forgotten(ended, []) == ended
    found = _with_forgotten(ended, ["a.py:1: x"])
    assert (found.how, found.detail) == then

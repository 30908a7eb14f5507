"""Statements with `await` in the loop of another thread, and what is shown of their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from lab.errors import UserError
from lab.runner.console import SCRIPT, Console, render_error, run_script
from lab.system.loop_thread import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    with LoopThread() as made:
        yield made


def refuse() -> None:
    raise UserError("write it otherwise")


def test_statements_await_and_errors_are_shown_without_frames_of_the_lab(
    loop: LoopThread, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    console = Console({"asyncio": asyncio, "refuse": refuse}, loop, shown.append)
    console.push("x = await asyncio.sleep(0, 6)")
    console.push("x + 1")
    assert capsys.readouterr().out == "7\n"
    for line in ("async with asyncio.timeout(9):", "    y = x", ""):
        console.push(line)
    console.push("y * 2")
    assert capsys.readouterr().out == "12\n"
    console.push("1 / 0")
    console.push("refuse()")
    assert shown[0].startswith('Traceback (most recent call last):\n  File "<console>", line 1, in <module>\nZeroDiv')
    assert shown[1] == "UserError: write it otherwise"
    with pytest.raises(SystemExit):
        console.push("raise SystemExit(3)")
    console.resetbuffer()
    console.push("x")
    assert capsys.readouterr().out == "6\n"


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("await asyncio.sleep(0)\nfound = 1\n", None), ("1 / 0", ZeroDivisionError), ("x x", SyntaxError),
        ("a\0b", (SyntaxError, ValueError)), ("raise SystemExit(3)", SystemExit),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("asyncio.current_task().cancel(); await asyncio.sleep(1)", asyncio.CancelledError),
    ],
)  # fmt: skip
def test_a_script_runs_as_a_whole(loop: LoopThread, script: str, error: Any) -> None:
    namespace: dict[str, Any] = {"asyncio": asyncio}
    found = run_script(script.encode(), namespace, loop)
    assert namespace.get("found") == 1 if error is None else isinstance(found, error)
    assert error is not None or found is None


def test_the_traceback_of_a_script_has_its_lines(loop: LoopThread) -> None:
    found = run_script(b"\nvalue = {}\nvalue['x']\n", {}, loop)
    assert found is not None
    assert render_error(found, SCRIPT).splitlines()[1:3] == ['  File "<script>", line 3, in <module>', "    value['x']"]

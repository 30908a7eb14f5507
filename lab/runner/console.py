"""Python code with `await` at its top level, as `python -m asyncio` has it: statement by statement, or as a whole."""

from __future__ import annotations

import ast
import code
import inspect
import linecache
import traceback
from collections.abc import Callable
from types import CodeType, FunctionType, TracebackType
from typing import Any

from lab.errors import LabError, describe
from lab.system.loop_thread import LoopThread

PROMPT, SCRIPT = "<console>", "<script>"  # file names, as tracebacks have them


class Console(code.InteractiveConsole):
    """An interactive console whose statements run in the loop of another thread.

    An error is printed, and the next statement awaited; Ctrl-C ends a statement, or the line that is being written.
    """

    def __init__(self, namespace: dict[str, Any], loop: LoopThread, print_error: Callable[[str], None]) -> None:
        super().__init__(namespace, PROMPT)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop, self._print_error = loop, print_error

    def runcode(self, code: CodeType) -> None:
        """Run a statement until its end. Raises SystemExit for one that asks to end the console."""
        try:
            error = self._loop.run(_run(code, self.locals))
        except KeyboardInterrupt:
            self.write("\nKeyboardInterrupt\n")
            return
        if isinstance(error, SystemExit):
            raise error
        if error is not None:
            self._print_error(render_error(error, PROMPT))


def run_script(text: bytes, namespace: dict[str, Any], loop: LoopThread) -> BaseException | None:
    """Run a script as a whole; the error that ended it, None without one."""
    try:
        compiled = compile(text, SCRIPT, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError) as error:
        return error
    lines = text.decode(errors="replace").splitlines(keepends=True)
    linecache.cache[SCRIPT] = (len(text), None, lines, SCRIPT)  # for tracebacks
    return loop.run(_run(compiled, namespace))


def render_error(error: BaseException, file: str) -> str:
    """An error as a person at a prompt needs it: a traceback from their own code on; of the lab's own errors the text.

    Those say what to change (lab/errors.py).
    """
    if isinstance(error, LabError):
        return f"{type(error).__name__}: {describe(error)}"
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


async def _run(compiled: CodeType, namespace: dict[str, Any]) -> BaseException | None:
    """Run code; the error that it raised. A cancelled task is one, unless this very one is cancelled.

    Nothing of it leaves the loop as KeyboardInterrupt or SystemExit: those would end the loop.
    """
    try:
        result = FunctionType(compiled, namespace)()
        if inspect.iscoroutine(result):
            await result
    except BaseException as error:  # noqa: BLE001 - the edge to somebody's code
        return error
    return None

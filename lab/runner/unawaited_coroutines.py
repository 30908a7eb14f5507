"""Coroutines that a scenario or a test made and never awaited: what they should have done never happened.

Python says so when such a coroutine is freed, by calling `_warn_unawaited_coroutine` of the module `warnings`. That
function is replaced for a while: filters for warnings, those of pytest as well, then decide nothing.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CoroutineType
from typing import Any

import lab

_HOOK = "_warn_unawaited_coroutine"
#: Who writes no scenarios: Python, what is installed, and the lab itself, apart from the scenarios that come with it.
_OTHERS = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LAB = Path(lab.__file__).parent


@contextmanager
def unawaited() -> Iterator[list[str]]:
    """A list that is complete at the end of the block: "file:line: `Device.send` is not awaited", once for each line.

    Coroutines of the block's own thread, made in it. Those of Python and of installed packages are left to Python.
    """
    found: dict[str, None] = {}
    lines: list[str] = []
    usual, depth = getattr(warnings, _HOOK), sys.get_coroutine_origin_tracking_depth()

    def note(coroutine: CoroutineType[Any, Any, Any]) -> None:
        origin = coroutine.cr_origin
        if origin and _is_script(origin[0][0]):
            file, line, _ = origin[0]
            found[f"{Path(file).name}:{line}: `{coroutine.__qualname__}` is not awaited: write `await` before it"] = (
                None
            )
        else:
            usual(coroutine)

    sys.set_coroutine_origin_tracking_depth(max(depth, 1))
    setattr(warnings, _HOOK, note)
    try:
        yield lines
    finally:
        gc.collect()  # one in a cycle, such as that of a traceback, is freed by this only
        setattr(warnings, _HOOK, usual)
        sys.set_coroutine_origin_tracking_depth(depth)
        lines += found


def _is_script(file: str) -> bool:
    path = Path(file)
    if path.is_relative_to(_LAB):
        return path.is_relative_to(_LAB / "data")
    return not file.startswith(_OTHERS)

"""Scenarios: coroutine functions that use a federation, and how they are found by name or file."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, overload

from lab.checks.wanted import Wanted
from lab.declarations.encryptions import get_encryption
from lab.errors import UserError, describe
from lab.packaged import find, list_names
from lab.runner.wanted_verdicts import Expects, read_expects

ScenarioFunction = Callable[[Any], Coroutine[Any, Any, None]]
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, None]])

#: The attribute of a decorated function that holds its ScenarioInfo.
ATTRIBUTE = "__xmpplab_scenario__"

#: Scenarios by the file that made them while it was imported, in the order of making; see `_importing`.
_made: dict[str, list[ScenarioInfo]] = {}


@dataclass(frozen=True)
class ScenarioInfo:
    """One scenario: what it is called, what it shows, what makes a run of it valid."""

    name: str
    title: str  # one sentence: the docstring's first line
    spec: str  # what it tests, "RFC 6120 10.4"
    expects: tuple[tuple[str, Wanted], ...]  # check name -> value that makes a run valid, or those by software
    function: ScenarioFunction
    file: Path
    line: int
    topology: str = ""  # where it runs if no other one is asked for; "" if it is for any
    encryptions: tuple[str, ...] = ()  # those whose libraries must be there before anything starts


@overload
def scenario(function: F, /) -> F: ...


@overload
def scenario(
    *,
    spec: str = "",
    expects: Expects | None = None,
    title: str = "",
    topology: str = "",
    encryptions: Sequence[str] = (),
) -> Callable[[F], F]: ...


def scenario(
    function: F | None = None,
    /,
    *,
    spec: str = "",
    expects: Expects | None = None,
    title: str = "",
    topology: str = "",
    encryptions: Sequence[str] = (),
) -> F | Callable[[F], F]:
    """Make a coroutine function a scenario: `@scenario` or `@scenario(spec="RFC 6120 10.4")`; it is returned unchanged.

    `spec` is the section of an RFC or XEP that the scenario tests. `expects={"secrecy": "failed"}` makes a run valid
    only if that check has that value: "valid", "failed" or "unknown"; with `{"roster": {"ejabberd@24.12": "failed"}}`
    only servers of this software have to. `topology` is where `xmpplab run` runs it if neither a topology nor a lab is
    given. `encryptions=["otr"]`: where its library is missing, nothing is started. The title is the docstring's first
    line unless given. A file that makes
    scenarios in a loop gives each function a `__name__` of its own first. Raises UserError for another value, or a
    function that is not `async def` with one argument.
    """
    wanted = read_expects(expects)
    if isinstance(encryptions, str):
        raise UserError(f"scenario: encryptions={encryptions!r}: give a list, [{encryptions!r}]")
    used = tuple(get_encryption(one).name for one in encryptions)
    if function is not None and not callable(function):
        raise UserError(f"scenario({function!r}): write `@scenario`, or `@scenario(spec={function!r})`")

    def decorate(function: F) -> F:
        if not hasattr(function, "__name__"):
            raise UserError(f"scenario {function!r}: it has no `__name__`; write an `async def` that calls it")
        if not inspect.iscoroutinefunction(function):
            raise UserError(f"scenario {function.__name__}: write `async def {function.__name__}(federation)`")
        if len(inspect.signature(function).parameters) != 1:
            raise UserError(f"scenario {function.__name__}: it takes one argument, the federation")
        code = inspect.unwrap(function).__code__
        sentence = title or (inspect.getdoc(function) or function.__name__.replace("_", " ")).splitlines()[0]
        info = ScenarioInfo(
            name=function.__name__,
            title=sentence,
            spec=spec,
            expects=wanted,
            function=function,
            file=Path(code.co_filename),
            line=code.co_firstlineno,
            topology=topology,
            encryptions=used,
        )
        setattr(function, ATTRIBUTE, info)
        _made.setdefault(_importing(), []).append(info)
        return function

    return decorate if function is None else decorate(function)


def _importing() -> str:
    """The file whose import makes this scenario: also where a function of another file makes it for that file."""
    frame = sys._getframe(2)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename


def get_info(function: object) -> ScenarioInfo | None:
    """The ScenarioInfo of a function, None if it is no scenario."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, ScenarioInfo) else None


def list_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the lab, as their functions are called."""
    return tuple(name.replace("-", "_") for name in list_names("scenarios", ".py"))


def load(name_or_file: str | Path) -> list[ScenarioInfo]:
    """The scenarios that a file (a path that ends in .py) makes, or those of the lab by name, in the order of making.

    `mine.py::first` is one of a file. In a name `-` and `_` are the same.

    Raises UserError, with file and line where the file is at fault: also if two have the same name.
    """
    file, separator, one = str(name_or_file).rpartition("::")
    if separator and file.endswith(".py"):
        return [_choose(file, one, _load_file(Path(file)))]
    if str(name_or_file).endswith(".py"):
        return _load_file(Path(name_or_file))
    name = str(name_or_file)
    if found := find("scenarios", name, ".py"):
        return _load_file(found)
    known = list_scenarios()
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}."
    raise UserError(f"no scenario {name!r}: {hint} A file of your own is given by its path, ending in .py")


def _choose(file: str, name: str, among: list[ScenarioInfo]) -> ScenarioInfo:
    found = next((info for info in among if info.name == name), None)
    if found is None:
        raise UserError(f"{file}: no scenario {name!r} in here: there are: {', '.join(info.name for info in among)}")
    return found


def _load_file(path: Path) -> list[ScenarioInfo]:
    path = path.absolute()
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: give the path of a scenario")
    _made.pop(str(path), None)
    _import(path)
    found = _made.get(str(path), [])
    if not found:
        raise UserError(f"{path}:1: no scenario in here: write `@scenario()` above an `async def`")
    for index, info in enumerate(found):
        if earlier := next((one for one in found[:index] if one.name == info.name), None):
            raise UserError(
                f"{info.file}:{info.line}: a second scenario {info.name!r} (the first is in line {earlier.line}): "
                "they cannot be told apart; give each function another `__name__` before it becomes a scenario"
            )
    return found


def _import(path: Path) -> ModuleType:
    """Run a scenario's file as a module; it can import the files of its folder, as any script can."""
    name = f"xmpplab_scenario_{re.sub(r'[^A-Za-z0-9]', '_', str(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # true for any path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # behind Python's own modules: a random.py here must not replace one
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise UserError(f"{error.filename}:{error.lineno}:{error.offset}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # whatever a user's file raises when it is imported
        del sys.modules[name]
        raise UserError(f"{path}:{_line(error, path)}: {describe(error)}") from error
    return module


def _line(error: BaseException, path: Path) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)

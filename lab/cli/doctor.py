"""`xmpplab doctor`: which runtimes work on this machine, and how to get what they lack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from lab.cli.options import FormatOption
from lab.cli.output import Format, print_rows, print_text
from lab.system.tables import format_table, wrap_text

if TYPE_CHECKING:
    from lab.runtime.protocol import Prerequisite


def doctor(output: FormatOption = Format.TABLE) -> None:
    """Report which runtimes work on this machine.

    Lists what is missing and how to install it. Exit code 69 if no runtime works.
    """
    from lab import exit_codes
    from lab.runtime.containers.runtime import Containers
    from lab.runtime.processes.runtime import Processes

    by_runtime = {runtime.name: runtime.check_prerequisites() for runtime in (Containers(), Processes())}
    found = [
        ("python", _python()),
        ("labs", home := _home()),
        *((name, one) for name, all_ in by_runtime.items() for one in all_),
    ]
    found += [("programs", _with()), *(("faults", one) for one in _faults())]
    usable = [name for name, prerequisites in by_runtime.items() if all(one.good for one in (home, *prerequisites))]
    if output is Format.JSON:
        print_rows(output, [_row(name, one) for name, one in found])
    else:
        print_text("\n".join((_table(found), *_lacking(found), "", *wrap_text(_verdict(usable, home)))))
    if not usable:
        raise typer.Exit(exit_codes.MISSING)


def _table(found: Sequence[tuple[str, Prerequisite]]) -> str:
    rows = [
        (name, one.what, "yes" if one.good else "no", one.found if one.good else "see below") for name, one in found
    ]
    return format_table(("part", "what", "good", "found"), rows)


def _lacking(found: Sequence[tuple[str, Prerequisite]]) -> Iterator[str]:
    """The prerequisites that are not met, each with what to do; sentences are too long for a table."""
    for name, one in found:
        if not one.good:
            yield f"\n{name}: {one.what}"
            for text in (one.found, f"To do: {one.remedy}" if one.remedy else ""):
                yield from wrap_text(text, "  ", "  ")


def _verdict(usable: list[str], home: Prerequisite) -> str:
    if not home.good:
        return "No lab can run on this machine before its folder can be written to."
    if not usable:
        return "No runtime works on this machine yet; one of them is enough."
    return f"Labs can run on this machine with: {', '.join(usable)}. `--runtime auto` chooses {usable[0]}."


def _python() -> Prerequisite:
    from lab.runtime.protocol import Prerequisite

    return Prerequisite("Python 3.11 or later", True, sys.version.split()[0])  # or this line would not run


def _home() -> Prerequisite:
    """Whether labs can be made, on whatever runtime."""
    from lab.plan.layout import find_home
    from lab.runtime.lab_record import find_home_problem
    from lab.runtime.protocol import Prerequisite

    problem = find_home_problem()
    remedy = "set XMPPLAB_HOME to a folder of yours" if problem else ""
    return Prerequisite("folder of labs", not problem, problem or str(find_home()), remedy)


def _with() -> Prerequisite:
    """Whether programs of the user's can be started in a lab's names."""
    from lab.runtime.protocol import Prerequisite
    from lab.system import namespaces

    problem = namespaces.find_problem()
    remedy = f"{namespaces.describe_remedy()}, or give programs what `xmpplab env` prints" if problem else ""
    return Prerequisite("`with` and `client`", not problem, problem or "namespaces", remedy)


def _faults() -> Iterator[Prerequisite]:
    """The actions of faults that can be done here, and whether packets can be dropped for those that need it."""
    from lab.runtime.protocol import Prerequisite
    from lab.system.packet_filter import find_filter_problem
    from lab.topology.faults import ACTIONS

    yield Prerequisite("actions", True, ", ".join(ACTIONS))
    for action, declared in ACTIONS.items():
        for name in (one.name for one in declared.fields if one.drops_packets):
            problem = find_filter_problem()
            found = problem or "with the runtime processes only"
            remedy = "use the runtime processes, as root, with nft; or `flap`, `partition` or jitter" if problem else ""
            yield Prerequisite(f"{action}: {name}", not problem, found, remedy)


def _row(part: str, one: Prerequisite) -> dict[str, object]:
    return {
        "part": part,
        "what": one.what,
        "good": one.good,
        "found": one.found,
        "what_to_do": one.remedy or None,
    }

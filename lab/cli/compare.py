"""`xmpplab compare`: two loads side by side, from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab import exit_codes
from lab.cli.show import Format, table

if TYPE_CHECKING:
    from lab.load.analysis.comparison import Comparison
    from lab.plan.model import Plan


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN1", help="The folder of a load.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN2", help="The folder of another.", show_default=False)],
    output: Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")] = Format.TABLE,
) -> None:
    """Compare two loads, figure by figure.

    Says what a change may be noise, and whether the two can be compared at all.
    """
    import json
    from dataclasses import asdict

    from lab.load.analysis.comparison import compare as compared
    from lab.load.metrics.run_folder import read

    one, other = read(first), read(second)
    found = compared(one, other, (plan_of(first), plan_of(second)))
    if output is Format.JSON:
        print(json.dumps({"comparable": found.comparable, **asdict(found)}, indent=2))
    else:
        print(f"first   {one.folder}\nsecond  {other.folder}\n")
        print(
            table(
                ("figure", "first", "second", "change", "95 %", "beyond noise"), [_cells(row) for row in found.figures]
            )
        )
        print("\n" + "\n".join(_sentences(found)))
    raise typer.Exit(exit_codes.VALID if found.comparable else exit_codes.UNKNOWN)


def _sentences(found: Comparison) -> list[str]:
    said = [f"Not the same load: {text}." for text in found.load]
    said += [f"Not the same: {text}." for text in found.setting]
    said += [f"Note: {text}." for text in found.remarks]
    if found.against:
        return [*said, f"They cannot be compared: {'; '.join(found.against)}."]
    what = f"what differs is the {found.setting[0]}" if found.setting else "the same load on the same setting, twice"
    return [*said, f"They can be compared: {what}."]


def plan_of(folder: Path) -> Plan:
    """The plan of the lab that a load's folder says it ran on. Raises UserError."""
    from lab.errors import UserError
    from lab.plan import files
    from lab.runner.folders import PLAN

    try:
        return files.load((folder / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder / PLAN}: is missing: give the folder of a load as `xmpplab load` leaves it") from None


def _cells(row: dict[str, object]) -> list[object]:
    change, low, high, beyond = (
        row[name] for name in ("change_percent", "low_percent", "high_percent", "beyond_noise")
    )
    cells = [row["figure"], *("-" if row[name] is None else f"{row[name]:g}" for name in ("first", "second"))]
    cells += ["-" if change is None else f"{change:+g} %", "-" if low is None else f"{low:+g} to {high:+g} %"]
    return [*cells, "-" if beyond is None else "yes" if beyond else "no"]

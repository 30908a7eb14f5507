"""`xmpplab compare`: two loads side by side, from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.show import Format, table
from lab.runner import exits

if TYPE_CHECKING:
    from lab.load.keeping import Kept
    from lab.topology.spec import Topology


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN1", help="The folder of a load.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN2", help="The folder of another.", show_default=False)],
    output: Annotated[Format, typer.Option("--format", "-f", help="For people, or for programs.")] = Format.TABLE,
) -> None:
    """Compare two loads, figure by figure.

    Says what was not the same for both, so that nobody takes another rate for another server.
    """
    import json

    from lab.load.comparing import differences, rows

    (one, its), (other, others) = _read(first), _read(second)
    found, said = rows(one, other), differences(one, other, (its, others))
    if output is Format.JSON:
        print(json.dumps({"figures": found, "differences": said}, indent=2))
    else:
        print(f"first   {one.folder}\nsecond  {other.folder}\n")
        print(table(("figure", "first", "second", "change"), [_cells(row) for row in found]) + "\n")
        print("\n".join(f"Not the same: {text}." for text in said) or "Nothing else differs: the same load, twice.")
    raise typer.Exit(exits.VALID if one.measured and other.measured else exits.UNKNOWN)


def _read(folder: Path) -> tuple[Kept, Topology]:
    from lab.load.keeping import read

    return read(folder), topology_of(folder)


def topology_of(folder: Path) -> Topology:
    """The topology that a load's folder says it ran on. Raises UserError."""
    from lab.errors import UserError
    from lab.plan import files
    from lab.runner.folders import PLAN

    try:
        return files.load((folder / PLAN).read_text(encoding="utf-8")).topology
    except FileNotFoundError:
        raise UserError(f"{folder / PLAN}: is missing: give the folder of a load as `xmpplab load` leaves it") from None


def _cells(row: dict[str, object]) -> list[object]:
    change = row["change_percent"]
    cells = [row["figure"], *("-" if row[name] is None else f"{row[name]:g}" for name in ("first", "second"))]
    return [*cells, "-" if change is None else f"{change:+g} %"]

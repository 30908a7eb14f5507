"""`xmpplab attacks`: every attack against every encryption and trust, as one table, compared with a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import RUNS, FormatOption, RunsOption, RuntimeChoice, RuntimeOption
from lab.cli.output import Format, check_writable, make_plain_progress, print_address, print_json, print_text
from lab.errors import UserError

if TYPE_CHECKING:
    from lab.runner.attacks.cells import Cell, CellResult

TOPOLOGY = "pair,software=prosody+ejabberd"

_TopologyOption = Annotated[
    str | None,
    typer.Option(
        "--topology",
        "-t",
        metavar="TOPOLOGY",
        help=f"A name, file or shape with two linked servers; {TOPOLOGY} by default.",
        show_default=False,
    ),
]
_LabOption = Annotated[
    str | None, typer.Option("--name", metavar="LAB", help="Use this lab, which must be up, instead of a topology.")
]
_AttackOption = Annotated[
    list[str] | None, typer.Option("--attack", metavar="NAME", help="Only this attack; may be given several times.")
]
_EncryptionOption = Annotated[
    list[str] | None,
    typer.Option("--encryption", metavar="NAME", help="Only this encryption; may be given several times."),
]
_ReferenceOption = Annotated[
    Path | None,
    typer.Option("--reference", metavar="FILE", help="What to compare with, instead of what comes with the lab."),
]
_UpdateOption = Annotated[bool, typer.Option("--update", help="Write what was found into the file of --reference.")]
_PageOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the table as a page, too.")]


def attacks(
    topology: _TopologyOption = None,
    name: _LabOption = None,
    attack: _AttackOption = None,
    encryption: _EncryptionOption = None,
    reference: _ReferenceOption = None,
    update: _UpdateOption = False,
    html: _PageOption = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    runs: RunsOption = RUNS,
    output: FormatOption = Format.TABLE,
) -> None:
    """Try every attack on every encryption.

    People on two servers write to each other under attack, both ways, with each trust. The table says whether that is
    impossible, who notices it, or that it succeeds unnoticed. Another result than in the reference fails.
    """
    from lab.report.attacks import render, render_verdict, to_json
    from lab.report.html.attack_page import write_attack_page
    from lab.runner import folders
    from lab.runner.attacks.cells import list_cells
    from lab.runner.attacks.reference import PACKAGED, compare, get_exit_code, read_reference

    if topology is not None and name is not None:
        raise UserError("give --topology or --name, not both: a lab that is up has its topology already")
    if update and reference is None:
        raise UserError("--update needs --reference FILE: the file to write")
    cells = list_cells(attack or (), encryption or ())
    known = read_reference(reference or PACKAGED) if not update or (reference and reference.exists()) else {}
    folders.check(runs)
    check_writable(html)
    results = _try(cells, topology, name, runtime, runs)
    differences = [] if update else compare(results, known)
    if html is not None:
        write_attack_page(html, results, differences)
    if output is Format.JSON:
        print_json(to_json(results, differences))
    else:
        print_text(render(results))
    if html is not None:
        print_address(html, output)
    if update and reference is not None:
        raise typer.Exit(_write(reference, results))
    print_text(f"\n{render_verdict(results, differences)}", verdicts=True, error=output is Format.JSON)
    raise typer.Exit(get_exit_code(differences))


def _try(
    cells: list[Cell], topology: str | None, name: str | None, runtime: RuntimeChoice, runs: Path
) -> list[CellResult]:
    """The results of these cells, on the lab that is asked for."""
    from lab.cli.entry_point import run_async
    from lab.report.html.run_files import write_reports
    from lab.runner.attacks.batch import AttackBatch, open_lab, run_attacks
    from lab.topology.files import load

    chosen = None if name is not None else load(topology or TOPOLOGY)
    progress = make_plain_progress()

    async def carry_out() -> list[CellResult]:
        async with open_lab(chosen, name, runtime.value, progress, cells) as lab:
            return await run_attacks(lab, AttackBatch(cells, runs, progress, write_reports))

    return run_async(carry_out())


def _write(reference: Path, results: list[CellResult]) -> int:
    """Write the results into a reference; the exit code."""
    from lab import exit_codes
    from lab.runner.attacks.reference import update

    left = update(reference, results)
    print_text(f"\n{reference}: {len(results) - len(left)} cells written, {len(left)} not judged.", error=True)
    return exit_codes.UNKNOWN if left else exit_codes.VALID

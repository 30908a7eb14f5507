"""`xmpplab exposure`: what each server learned in a run, or would see in topologies; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import FormatOption, RunArgument
from lab.cli.output import Format, print_json, print_text


def exposure(
    run: RunArgument = None,
    topologies: Annotated[
        list[str] | None,
        typer.Option(
            "--topology",
            "-t",
            metavar="TOPOLOGY",
            help="Compare topologies under one planned conversation instead; may be given several times.",
            show_default=False,
        ),
    ] = None,
    users: Annotated[int, typer.Option("--users", "-u", min=2, max=10_000, help="With -t: people, in all.")] = 200,
    degree: Annotated[int, typer.Option("--degree", help="With -t: how many others each writes to, on average.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="With -t: of the graph of who writes to whom.")] = 1,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what each server learned in a run. Encrypted or not: who writes to whom, when, how much.

    With -t it compares topologies: which servers would see the same conversations of the same people.
    """
    from lab.errors import UserError

    if run is not None and topologies:
        raise UserError(f"{run}: a run and -t are two things: give one of them")
    if topologies:
        _compare(topologies, users, degree, seed, output)
    else:
        _show(run, output)


def _show(run: Path | None, output: Format) -> None:
    from lab.report.exposure import render, to_json
    from lab.runner import folders
    from lab.runner.judgement import load_record

    record = load_record(folders.find(run))
    if output is Format.JSON:
        print_json(to_json(record))
    else:
        print_text(render(record))


def _compare(names: list[str], users: int, degree: int, seed: int, output: Format) -> None:
    from lab.load.workload.population import list_contact_pairs
    from lab.metrics.conversations import plan_conversations
    from lab.report.exposure import measures_to_json, render_comparison
    from lab.topology.files import load

    topologies = [load(name) for name in names]
    pairs = list_contact_pairs(users, degree, seed)
    plans = [plan_conversations(topology, pairs, users) for topology in topologies]
    if output is Format.JSON:
        print_json([{"topology": one.topology.name, **measures_to_json(one)} for one in plans])
    else:
        about = (
            f"The same {users} people and {len(pairs)} conversations (seed {seed}) on each topology; planned, not run."
        )
        print_text(render_comparison(plans, about))

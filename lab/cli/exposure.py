"""`xmpplab exposure`: what each server learned in a run, or would see in topologies; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import FormatOption, RunArgument
from lab.cli.output import Format, check_writable, print_address, print_json, print_text, write_output

if TYPE_CHECKING:
    from lab.lifecycle.feed_record import FeedRecord


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
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="This lab, which is up, since it came up; instead of a run."),
    ] = None,
    encryptions: Annotated[
        bool, typer.Option("--encryptions", help="Of a run: a column for each encryption, instead of each server.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page, too.", show_default=False)
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what each server learned in a run, or in a lab. Encrypted or not: who writes to whom, when, how much.

    With -t it compares topologies: which servers would see the same conversations of the same people.
    """
    from lab.errors import UserError

    asked = [what for what, given in (("a run", run), ("--name", name), ("-t", topologies)) if given]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} are different things to look at: give one of them")
    if encryptions and (name or topologies):
        raise UserError("--encryptions is for runs: of a lab or a topology nobody knows what devices can read")
    check_writable(html)
    if topologies:
        _compare(topologies, users, degree, seed, output, html)
    else:
        _show(run, name, output, html, encryptions)


def _show(run: Path | None, name: str | None, output: Format, html: Path | None, encryptions: bool) -> None:
    from lab.report.exposure import Exposure, encryptions_to_json, render, render_encryptions, to_json
    from lab.report.html.exposure_page import render_exposure
    from lab.runner import folders
    from lab.runner.judgement import load_record

    folder = folders.find(run) if name is None else None
    shown = Exposure.of_run(load_record(folder)) if folder else Exposure.of_lab(_read_lab(name or ""))
    if html is not None:
        write_output(html, render_exposure(shown, beside_page=_is_beside_page(html, folder)), private=True)
    if output is Format.JSON:
        print_json((encryptions_to_json if encryptions else to_json)(shown))
    else:
        print_text((render_encryptions if encryptions else render)(shown))
    if html is not None:
        print_address(html, output)


def _is_beside_page(html: Path, folder: Path | None) -> bool:
    """Whether the page of the run, which can be opened at an event, is in the folder that `html` is written to."""
    from lab.runner.folders import PAGE

    return folder is not None and html.resolve().parent == folder.resolve() and (folder / PAGE).is_file()


def _read_lab(name: str) -> FeedRecord:
    from lab.lifecycle.feed_record import read_feeds
    from lab.plan.layout import Layout
    from lab.runtime.lab_record import select_record

    return read_feeds(Layout.of(select_record(name).name))


def _compare(names: list[str], users: int, degree: int, seed: int, output: Format, html: Path | None) -> None:
    from lab.load.workload.population import list_contact_pairs
    from lab.metrics.conversations import plan_conversations
    from lab.report.exposure import measures_to_json, render_comparison
    from lab.report.html.exposure_page import render_comparison_page
    from lab.topology.files import load

    topologies = [load(name) for name in names]
    pairs = list_contact_pairs(users, degree, seed)
    plans = [plan_conversations(topology, pairs, users) for topology in topologies]
    about = f"The same {users} people and {len(pairs)} conversations (seed {seed}) on each topology; planned, not run."
    if html is not None:
        write_output(html, render_comparison_page(plans, about))
    if output is Format.JSON:
        print_json([{"topology": one.topology.name, **measures_to_json(one)} for one in plans])
    else:
        print_text(render_comparison(plans, about))
    if html is not None:
        print_address(html, output)

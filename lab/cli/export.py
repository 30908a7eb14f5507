"""`xmpplab export`: take what was tested in a lab home, as a real server or a Compose project."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import RUNS, RunsOption, RuntimeChoice, RuntimeOption
from lab.cli.output import make_batch_callbacks, print_text
from lab.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.exports.server import ServerExport
    from lab.servers.software import File
    from lab.topology.spec import Topology

_TOPOLOGY = "hidden-island"


class ExportKind(StrEnum):
    """What is exported."""

    SERVER = "server"
    COMPOSE = "compose"


def export(
    kind: Annotated[ExportKind, typer.Argument(metavar="server|compose", help="What to export.", show_default=False)],
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="DOMAIN|TOPOLOGY",
            help="server: your own domain, such as example.org; compose: a topology.",
            show_default=False,
        ),
    ] = None,
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology", "-t", metavar="TOPOLOGY", help=f"The topology; {_TOPOLOGY} by default.", show_default=False
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", metavar="NAME", help="server: which one of the topology; the one with most links by default."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="A new folder; the domain's or topology's name by default."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="server: run the files in a lab. A folder that exists is run as it is, not written."
        ),
    ] = False,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    runs: RunsOption = RUNS,
) -> None:
    """Export a real server or a Compose project.

    `export server example.org -t hidden_island --server home --verify` writes a server's files, and runs them in a lab.
    `export compose pair` writes a project that runs and federates without xmpplab.

    An existing folder is never overwritten.
    """
    from lab.topology.files import load

    if kind is ExportKind.COMPOSE:
        if verify or server:
            raise UserError("--verify and --server belong to `export server`")
        if subject is not None and topology is not None:
            raise UserError(f"{subject} and {topology} are two topologies: give one of them")
        _compose(load(subject or topology or _TOPOLOGY), output)
        return
    if subject is None:
        raise UserError("which domain? For example: xmpplab export server example.org")
    source = topology or _TOPOLOGY
    _server(load(source), source, subject, server, output, runtime if verify else None, runs)


def _compose(topology: Topology, output: Path | None) -> None:
    """Write the files of a project."""
    from lab.exports.compose import export_compose
    from lab.runtime.exported_files import write_export

    folder, files = output or Path(topology.name), export_compose(topology)
    write_export(folder, files)
    print_text(
        f"{folder}: {topology.name} as a Compose project, {len(topology.servers)} servers, {len(files)} files.\n"
        f"Begin with {folder / 'README.md'}: it builds, makes certificates, starts, makes accounts."
    )


def _server(
    topology: Topology,
    source: str,
    domain: str,
    name: str | None,
    output: Path | None,
    runtime: RuntimeChoice | None,
    runs: Path,
) -> None:
    """Write the files of a server, or, to verify them, read those that are there."""
    from lab.exports.server import choose_server, export_server
    from lab.runtime.exported_files import write_export

    folder = output or Path(domain)
    chosen = choose_server(topology, name).name
    words = ["xmpplab", "export", "server", domain, "-t", source, "--server", chosen, "-o", str(folder), "--verify"]
    command = shlex.join(words)
    exported = export_server(topology, chosen, domain, command)
    if runtime is None or not folder.exists():
        write_export(folder, exported.files)
        print_text(_describe(folder, exported.files, f"{exported.spec.software} {exported.spec.version} for {domain}"))
        if exported.left_out:
            print_text(f"\nNot exported: {', '.join(exported.left_out)} of {chosen}, which the topology sets.")
        print_text(f"\nRun these files in a lab: {command}" if runtime is None else "")
    if runtime is not None:
        raise typer.Exit(_verify(topology, exported, folder, runtime, runs, command))


def _describe(folder: Path, files: Sequence[File], what: str) -> str:
    """What was written, and every place that a person has to look at."""
    from lab.exports.changes import list_changes
    from lab.system.tables import format_table

    changes = list_changes(files)
    table = format_table(["to change", "what"], [[one.place, one.text] for one in changes])
    return f"{folder}: {what}, {len(files)} files. Begin with {folder / 'README.md'}.\n\n{table}"


def _verify(
    topology: Topology, exported: ServerExport, folder: Path, runtime: RuntimeChoice, runs: Path, command: str
) -> int:
    """Run the files of a folder in a lab; returns the exit code."""
    from lab import exit_codes
    from lab.cli.entry_point import report_error, run_async
    from lab.input_files import read_text
    from lab.report.batches.table import render
    from lab.runner.export_verification import ExportedServer, render_diff, verify_export

    path = folder / exported.configuration
    try:
        text = read_text(path, "a configuration")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is not there: {folder} is no export of such a server") from None
    one = ExportedServer(exported.spec, str(path), text)
    results = run_async(
        verify_export(
            topology,
            one,
            make_batch_callbacks(report_error),
            lambda lab: print_text(f"What the lab replaces in it:\n\n{render_diff(lab, one)}\n"),
            runtime=runtime.value,
            runs=runs,
            command=command,
        )
    )
    print_text(f"\n{render(results)}")
    return exit_codes.merge(one.exit_code for one in results if not one.skipped)

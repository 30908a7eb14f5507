"""`xmpplab prepare`: everything that labs download, in one file for a machine without network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import FormatOption
from lab.cli.output import Format, print_json, print_text, show_progress

if TYPE_CHECKING:
    from lab.lifecycle.bundle import Contents


def prepare(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write the bundle.", show_default=False)
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Fill the cache of this machine from a bundle.", show_default=False
        ),
    ] = None,
    clients: Annotated[
        list[str] | None,
        typer.Option("--client", metavar="NAME", help="A client program, too; may be given several times."),
    ] = None,
    containers: Annotated[
        bool, typer.Option("--containers/--no-containers", help="With what images are built from.")
    ] = True,
    output: FormatOption = Format.TABLE,
) -> None:
    """Download everything that labs need into one file.

    It is for a machine without network: there `xmpplab prepare --from FILE` fills the cache from it. Both machines must
    have the same architecture.
    """
    from lab.cli.entry_point import run_async
    from lab.errors import UserError
    from lab.lifecycle import bundle as bundles

    if (bundle is None) == (source is None):
        raise UserError("give a FILE to write, or --from FILE to fill the cache of this machine from one")
    with show_progress() as progress:
        if source is not None:
            if clients or not containers:
                raise UserError("--client and --no-containers are for making a bundle; --from takes all that it has")
            found = run_async(bundles.fill(source, progress))
        else:
            assert bundle is not None
            if bundle.is_dir() or not bundle.absolute().parent.is_dir():
                raise UserError(f"{bundle}: give the path of a file, in a folder that is there")
            found = run_async(bundles.make(bundle, clients or (), progress, containers=containers))
    _print(bundle, source, found, output)


def _print(bundle: Path | None, source: Path | None, found: Contents, output: Format) -> None:
    if output is Format.JSON:
        print_json({"file": str(bundle or source), "size": found.size, "sha256": found.sha256, "parts": found.parts})
        return
    lines = [f"  {part}" for part in found.parts]
    head = f"{bundle} has:" if bundle else f"The cache has, from {source}:"
    print_text("\n".join([head, *lines, f"{found.size / 1e6:.0f} MB, SHA-256 {found.sha256}"]))

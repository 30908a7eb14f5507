"""`xmpplab logs`: the last lines that servers and the lab's service logged, and new ones as they are written."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.options import LabOption
from lab.cli.output import print_text


def logs(
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVER]", help="Only this server; `service` is the lab's service.", show_default=False
        ),
    ] = None,
    name: LabOption = None,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Number of lines of each file.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Also print new lines until Ctrl-C or the lab's end.")
    ] = False,
) -> None:
    """Show the last lines of servers' logs."""
    from lab.cli.entry_point import run_async

    run_async(_show(server, name, tail, follow))


async def _show(server: str | None, name: str | None, tail: int, follow: bool) -> None:
    from lab.lifecycle.logs import find_log_files, follow_files, goes_on, last_lines
    from lab.plan import files as plans
    from lab.plan.layout import Layout
    from lab.runtime.lab_record import select_record

    record = select_record(name)
    layout = Layout.of(record.name)  # whatever of it runs: logs say why the rest does not
    plan = plans.read(layout.plan) if layout.plan.is_file() else None
    files = find_log_files(layout.root, [each.spec.name for each in plan.servers] if plan else [], server)
    lines, ends = last_lines(files, tail, whole=follow)
    for label, line in lines:
        print_text(f"{label}  {line}")
    if follow:
        async for label, line in follow_files(files, ends, is_up=lambda: goes_on(layout, record)):
            print_text(f"{label}  {line}")
        print_text(f"{layout.name} has ended", error=True)

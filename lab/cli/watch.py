"""`xmpplab watch`: the stanzas of a lab as its servers handle them."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.options import LabOption
from lab.cli.output import print_line, print_text


def watch(
    name: LabOption = None,
    servers: Annotated[
        list[str] | None, typer.Option("--server", metavar="SERVER", help="Only of this server; may be repeated.")
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option("--person", metavar="PERSON", help="Only from or to this person, alice@a; may be repeated."),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only message, presence, iq or stream; may be repeated."),
    ] = None,
    xml: Annotated[bool, typer.Option("--xml", help="Print the XML of each stanza below its line.")] = False,
) -> None:
    """Show the stanzas of a lab, live, until Ctrl-C.

    It ends with the lab as well.
    """
    from lab.cli.entry_point import run_async

    run_async(_watch(name, tuple(servers or ()), tuple(people or ()), tuple(kinds or ()), xml))


async def _watch(
    name: str | None, servers: tuple[str, ...], people: tuple[str, ...], kinds: tuple[str, ...], xml: bool
) -> None:
    from lab.errors import UserError
    from lab.history.events import ServerSaw
    from lab.lifecycle.accounts import read_view
    from lab.lifecycle.stanza_feed import KINDS, WatchFilter, find_feeds, watch
    from lab.network.lab_folder import is_service_running
    from lab.plan import files
    from lab.plan.layout import Layout
    from lab.report.stanza_lines import render_line
    from lab.runtime.lab_record import select_record

    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise UserError(f"--kind {wrong[0]}: one of {', '.join(KINDS)}")
    layout = Layout.of(select_record(name, ready=True).name)
    view = read_view(layout)
    named = [view.split_person(word) for word in people]
    wanted = WatchFilter(
        tuple(view.find_server(one).name for one in servers),
        tuple(f"{user.lower()}@{server.domain}" for user, server in named),
        kinds,
    )
    feeds = find_feeds(layout.root, files.read(layout.plan), wanted.servers)
    width = max(map(len, feeds))
    print_text(f"watching {', '.join(feeds)}; Ctrl-C ends", error=True)
    async for event in watch(feeds, wanted, is_up=lambda: is_service_running(layout)):
        print_line(render_line(event, width), 14)
        if xml and isinstance(event, ServerSaw) and event.stanza:
            print_line(f"    {event.stanza}", 4)
    print_text(f"{layout.name} has ended", error=True)

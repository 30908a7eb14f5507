"""`xmpplab up`: start a lab that stays up, or show what would be started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import (
    FormatOption,
    NameOption,
    RuntimeChoice,
    RuntimeOption,
    TopologyArgument,
    TopologyOption,
    one_topology,
    read_duration,
)
from lab.cli.output import Format, print_client_lines, print_rows, print_text, show_progress
from lab.system.tables import wrap_text

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab
    from lab.plan.client_view import Account
    from lab.topology.spec import Server

CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE",
        help="Keep authority, password and addresses in this file, for the labs that follow.",
        show_default=False,
    ),
]
PublishOption = Annotated[
    str | None,
    typer.Option(
        "--publish",
        metavar="ADDRESS",
        help="Let clients on other machines reach the servers at this address of yours.",
        show_default=False,
    ),
]


def up(
    topology: TopologyArgument = None,
    option: TopologyOption = None,
    name: NameOption = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="If a lab of that name has another plan, end it and start a new one.")
    ] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="DURATION", help="How long it may take until the lab is ready.", show_default=False
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a lab up that does not become ready.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan without starting a lab.")] = False,
    credentials: CredentialsOption = None,
    address: PublishOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Start a lab that stays up.

    It runs until `xmpplab down`. The command returns when every link has carried a stanza in both directions.
    """
    from lab.topology.files import load, make_absolute

    source = one_topology(topology, option)
    wanted = load(source)
    if dry_run:
        from lab.plan.files import dump
        from lab.report.plan_table import build_placeholder_plan, render_plan

        plan = build_placeholder_plan(wanted)
        print_text(dump(plan).rstrip() if output is Format.JSON else render_plan(plan))
        return
    from lab.cli.entry_point import run_async
    from lab.lifecycle.up import up as start
    from lab.network.publication import check_address, end_publication

    if address is not None:
        check_address(address)
    patience = None if timeout is None else read_duration("--timeout", timeout)
    with show_progress() as progress:
        lab = run_async(
            start(
                wanted, runtime=runtime.value, name=name, recreate=recreate, progress=progress, patience=patience,
                keep=keep, source=make_absolute(source), credentials=credentials,
            )
        )  # fmt: skip
    _print_lab(lab, output)
    if address is not None:
        _publish(lab, address)
    elif run_async(end_publication(lab.layout)):
        print_text(f"{lab.name} is published no longer", error=True)


def _print_lab(lab: Lab, output: Format) -> None:
    rows = list_addresses(lab)
    if output is Format.JSON:
        from lab.lifecycle.client_settings import build_client_settings

        rows = [
            {**row, "lab": lab.name, **build_client_settings(lab.layout, server, lab.password)}
            for row, server in zip(rows, lab.plan.servers, strict=True)
        ]
    print_rows(output, rows)
    if output is Format.TABLE:
        print_text("\n" + describe_next_steps(lab))
        if account := _first_account(lab):
            print_client_lines(lab.layout, account)


def _publish(lab: Lab, address: str) -> None:
    """Publish a lab, and print what a client elsewhere needs; beside the rows, which programs read."""
    from lab.cli.entry_point import run_async
    from lab.lifecycle.accounts import read_view
    from lab.network.publication import publish

    lines = [
        f"Warning: everybody who reaches {address} reaches these servers from now on, until `xmpplab down {lab.name}`.",
        *(
            f"{one.name}: address NAME@{one.domain}, server {address}, "
            f"port {one.port} (STARTTLS) or {one.tls_port} (TLS)"
            for one in run_async(publish(lab.layout, read_view(lab.layout), address))
        ),
        f"Passwords: `xmpplab env --name {lab.name}`. The client must trust {lab.layout.authority / 'authority.pem'}.",
        "Type server and port into the client by hand: no DNS says them. Files cannot be uploaded from there.",
    ]
    print_text("\n" + "\n".join(text for line in lines for text in wrap_text(line, then="  ")), error=True)


def _first_account(lab: Lab) -> Account | None:
    """The first account of the lab, None if it begins with none."""
    from lab.lifecycle.accounts import list_accounts, read_view

    return next(iter(list_accounts(lab.layout, read_view(lab.layout))), None)


def list_addresses(lab: Lab) -> list[dict[str, object]]:
    """A row for each server: where it listens and which accounts it has."""
    return [
        {
            "server": server.spec.name,
            "domain": server.spec.domain,
            "software": f"{server.spec.software}@{server.spec.version}".rstrip("@"),
            "address": server.spec.address or server.address,
            **_ports(server.spec),
            "users": _people(server.spec.users),
        }
        for server in lab.plan.servers
    ]


def _ports(server: Server) -> dict[str, int | None]:
    """Where users of a server connect, as far as the lab starts it."""
    from lab.declarations.manifest import StartedBy

    ports = server.manifest.ports if server.manifest.started_by is StartedBy.LAB else None
    return {"client_port": ports.client if ports else None, "https_port": ports.https if ports else None}


def _people(users: int) -> str:
    return {0: "-", 1: "user1"}.get(users, f"user1 .. user{users}")


def describe_next_steps(lab: Lab) -> str:
    """What a person can do with a lab that is up, a line each."""
    from lab.declarations.manifest import StartedBy
    from lab.lifecycle.readiness import describe_external_server

    edges = len(lab.plan.topology.links)
    probed = edges - len(lab.unknown)
    said = f"{lab.name} is up ({lab.runtime.name}): {probed} of {edges} links have carried a stanza in both directions."
    lines = [said, *(f"  the lab cannot probe {a} - {b}" for a, b in lab.unknown)]
    yours = [server for server in lab.plan.servers if server.spec.manifest.started_by is StartedBy.PERSON]
    lines += [f"  {describe_external_server(lab.layout, server)}" for server in yours]
    if any(server.spec.users for server in lab.plan.servers):
        home = next(server.spec.name for server in lab.plan.servers if server.spec.users)
        lines.append(f"  log in     xmpplab with --name {lab.name} --as user1@{home} -- COMMAND")
    lines.append(f"  accounts   xmpplab person alice@{lab.plan.servers[0].spec.name} --name {lab.name}")
    lines.append(f"  passwords  xmpplab env --name {lab.name}")
    lines.append(f"  trust      {lab.layout.authority / 'authority.pem'}")
    lines.append(f"  use        xmpplab run everyone_writes --name {lab.name}")
    lines.append(f"  inspect    xmpplab status, xmpplab logs --name {lab.name} <server>")
    lines.append(f"  end        xmpplab down {lab.name}")
    return "\n".join(text for line in lines for text in wrap_text(line, then=" " * (2 if line is said else 13)))

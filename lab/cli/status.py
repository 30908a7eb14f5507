"""`xmpplab status`: the labs of this machine, or one lab's servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.options import FormatOption
from lab.cli.output import Format, print_rows

if TYPE_CHECKING:
    from lab.lifecycle.status import Status
    from lab.plan.model import Plan, ServerPlan


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[LAB]", help="Show the servers of this lab.", show_default=False)
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the labs that are up. With a name: the state of its servers."""
    from lab.cli.entry_point import run_async
    from lab.errors import UserError
    from lab.lifecycle.status import read_status

    found = run_async(read_status())
    if name is None:
        print_rows(output, [_lab_row(one) for one in found], empty="no lab is up; start one with: xmpplab up TOPOLOGY")
        return
    for one in found:
        if one.name == name:
            rows = list_servers(one)
            if output is Format.JSON and one.plan is not None:
                rows = [{**row, **_settings(one, row["server"])} for row in rows]
            print_rows(output, rows, empty=f"{name} ({one.phase}) has no plan yet")
            return
    raise UserError(f"there is no lab {name}; `xmpplab status` lists what there is")


def _lab_row(lab: Status) -> dict[str, Any]:
    running = sum(state.running for state in lab.states.values())
    return {
        "lab": lab.name,
        "runtime": lab.runtime,
        "phase": lab.phase,
        "servers": f"{running} of {len(_started_by_lab(lab.plan)) if lab.plan else '?'} running",
        "ended": list(lab.ended) or None,
        "since": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lab.since)),
        "ends_with": f"process {lab.owner}" if lab.owned else None,
    }


def _settings(lab: Status, server: str) -> dict[str, Any]:
    """What a client program needs beside the row of a server."""
    from lab.lifecycle.client_settings import build_client_settings
    from lab.plan.layout import Layout

    assert lab.plan is not None
    return build_client_settings(Layout.of(lab.name), lab.plan.server(server), lab.password)


def _started_by_lab(plan: Plan) -> list[ServerPlan]:
    """Servers that the lab starts: not external or scripted ones."""
    from lab.declarations.manifest import StartedBy

    return [server for server in plan.servers if server.spec.manifest.started_by is StartedBy.LAB]


def list_servers(lab: Status) -> list[dict[str, Any]]:
    """A row for each server of a lab: software, address, whether it runs, its links."""
    if lab.plan is None:
        return []
    ours = {server.spec.name for server in _started_by_lab(lab.plan)}
    rows: list[dict[str, Any]] = []
    for server in lab.plan.servers:
        state = lab.states.get(server.spec.name)
        rows.append(
            {
                "server": server.spec.name,
                "domain": server.spec.domain,
                "software": f"{server.spec.software}@{server.spec.version}".rstrip("@"),
                "address": server.address,
                "running": state is not None and state.running if server.spec.name in ours else None,
                "pid": state.pid if state else None,
                "exit_code": state.exit_code if state else None,
                "links": lab.plan.topology.neighbours(server.spec.name),
            }
        )
    return rows

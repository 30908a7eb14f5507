"""`xmpplab fault`: break a lab that is up, see what is broken, and heal it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.options import FormatOption, LabOption
from lab.cli.output import Format, print_rows, print_text
from lab.errors import UserError

if TYPE_CHECKING:
    from lab.topology.spec import FaultSpec


class FaultVerb(StrEnum):
    """What to do with faults."""

    ADD = "add"
    LIST = "list"
    HEAL = "heal"


def fault(
    verb: Annotated[FaultVerb, typer.Argument(metavar="add|list|heal", help="What to do.", show_default=False)],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ACTION TARGET... | NAME]",
            help="add: an action, then groups (a,b c), the two servers of a link, or servers; heal: a fault's name.",
            show_default=False,
        ),
    ] = None,
    length: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="add: how long.")] = None,
    called: Annotated[str | None, typer.Option("--as", metavar="NAME", help="add: the fault's name.")] = None,
    how: Annotated[str | None, typer.Option("--how", help="add: how, of the action.")] = None,
    direction: Annotated[
        str | None, typer.Option("--direction", help="add: to, from or both, from the first server's side.")
    ] = None,
    latency: Annotated[str | None, typer.Option("--latency", metavar="DURATION", help="add conditions.")] = None,
    jitter: Annotated[str | None, typer.Option("--jitter", metavar="DURATION", help="add conditions.")] = None,
    rate: Annotated[str | None, typer.Option("--rate", metavar="RATE", help="add conditions.")] = None,
    loss: Annotated[str | None, typer.Option("--loss", metavar="PERCENT", help="add conditions.")] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="DURATION", help="add: of slow dns; of conditions, the latency.")
    ] = None,
    down: Annotated[str | None, typer.Option("--down", metavar="DURATION", help="add flap: cut this long.")] = None,
    up: Annotated[str | None, typer.Option("--up", metavar="DURATION", help="add flap: time in between.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="heal: every fault.")] = False,
    name: LabOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Break the network of a lab that is up, and heal it.

    `fault add partition a,b c --how reset --for 30s`, `fault list`, `fault heal [NAME | --all]`.

    A fault stays until its time is over or it is healed. Servers in containers are changed by this command itself: it
    stays in the foreground, and heals the fault when it ends or `fault heal` asks it to.
    """
    from lab.cli.entry_point import run_async

    options = {
        "how": how, "direction": direction, "latency": latency, "jitter": jitter, "rate": rate, "delay": delay,
        "down": down, "up": up, "loss": loss,
    }  # fmt: skip
    fields = {option: value for option, value in options.items() if value is not None}
    given = words or []
    if verb is not FaultVerb.ADD and (fields or length or called):
        raise UserError("fields, --for and --as belong to `fault add`")
    if verb is not FaultVerb.HEAL and everything:
        raise UserError("--all belongs to `fault heal`")
    if verb is FaultVerb.LIST:
        if given:
            raise UserError("`fault list` takes no names")
        run_async(_print_list(name, output))
    elif verb is FaultVerb.HEAL:
        if len(given) > 1 or bool(given) == everything:
            raise UserError("give the name of one fault, or --all: `xmpplab fault list` shows them")
        run_async(_heal(given[0] if given else None, name))
    else:
        run_async(_add(_read(given, fields, length, called), name))


def _read(words: list[str], fields: dict[str, Any], length: str | None, called: str | None) -> FaultSpec:
    """The fault that is asked for. Raises UserError."""
    from lab.declarations.fault import FaultTarget
    from lab.topology.faults import ACTIONS, read_one
    from lab.topology.words import list_choices, suggest

    action, targets = (words[0], words[1:]) if words else ("", [])
    if action not in ACTIONS:
        near = suggest(action, ACTIONS, otherwise=f": there are {list_choices(ACTIONS)}")
        raise UserError(f"no action {action!r}{near}" if action else f"which action? There are {list_choices(ACTIONS)}")
    data: dict[str, Any] = {"action": action, "name": called or action, **fields}
    if length is not None:
        data["duration"] = length
    split = [[name for name in word.split(",") if name] for word in targets]
    if ACTIONS[action].target is FaultTarget.GROUPS:
        data["groups"] = split
    elif names := [name for group in split for name in group]:
        if ACTIONS[action].target is FaultTarget.PEOPLE:
            data["selector"] = {"person": names}
        elif ACTIONS[action].target is FaultTarget.LINKS and len(names) > 1:
            data["selector"] = {"link": names}
        else:
            data["selector"] = {"server": names}
    return read_one(data)


async def _add(spec: FaultSpec, name: str | None) -> None:
    from lab.declarations.units import format_duration
    from lab.lifecycle.faults import FaultSession, held_here
    from lab.lifecycle.registry import attach
    from lab.plan.fault_schedule import declaration

    lab = await attach(name, whole=False)
    lasts = declaration(spec).lasts
    async with FaultSession(lab) as session:
        await session.add(spec, keep=True)
        if not lasts:
            print_text(f"{spec.name}: done")
            return
        until = "until it is healed" if spec.duration is None else f"for {format_duration(spec.duration)}"
        if not held_here(spec, lab):
            print_text(f"{spec.name} acts {until}; `xmpplab fault heal {spec.name}` heals it")
            return
        heal = f"`xmpplab fault heal {spec.name}`, or the end of this command (Ctrl-C), heals it"
        print_text(f"{spec.name} acts {until}; {heal}")
        await session.wait_until_over(spec.name)
    print_text(f"{spec.name} is healed")


async def _print_list(name: str | None, output: Format) -> None:
    from lab.lifecycle.faults import list_held
    from lab.lifecycle.registry import attach

    lab = await attach(name, whole=False)
    async with lab.open_control() as control:
        found = (await control.call("list_faults"))["faults"]
    found += list_held(lab.layout)
    if output is not Format.JSON and not found:
        print_text("no fault is active")
        return
    rows = [
        {
            "name": one["name"],
            "action": one["action"],
            "acts": "yes" if one["acts"] else "not now",
            "targets": ", ".join(one["targets"]),
            "ends": _end(one),
        }
        for one in found
    ]
    print_rows(output, rows)


def _end(fault: dict[str, Any]) -> str:
    if "pid" in fault:
        return f"when it is healed, or with process {fault['pid']}, which carries it out"
    return "with the run that started it" if fault["held"] else "when it is healed, or its time is over"


async def _heal(fault_name: str | None, name: str | None) -> None:
    from lab.lifecycle.faults import PATIENCE, heal_held
    from lab.lifecycle.registry import attach

    lab = await attach(name, whole=False)
    healed = await heal_held(lab.layout, fault_name)
    if not healed or fault_name is None:
        async with lab.open_control() as control:
            healed += (await control.call("heal_faults", patience=PATIENCE, name=fault_name))["healed"]
    print_text(f"healed: {', '.join(healed)}" if healed else "no fault was active")
